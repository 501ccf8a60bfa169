package node

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/secret"
)

// Logger returns the logger of a daemon: one line per event, without what may
// be a credential. Where the format is left open, people at a terminal get text
// and everything else JSON.
func Logger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
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

// logLevel is the configured level, which is one of four words.
func logLevel(cfg config.Config) (level slog.Level) {
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return level
}
