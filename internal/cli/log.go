package cli

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/secret"
)

// NewLogger returns a logger that writes one line per event and redacts
// credentials. Where the format is auto, a terminal gets text and anything else
// JSON.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: secret.Attr}
	if format == config.Text || format != config.JSON && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
