package cli

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/secret"
)

// NewLogger returns a logger that writes one line per event, redacts credentials,
// and writes durations with their unit. Where the format is auto, a terminal gets
// text and anything else JSON.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: replaceAttr}
	if format == config.Text || format != config.JSON && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func replaceAttr(groups []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration { // which JSON has as a bare number
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return secret.Attr(groups, a)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
