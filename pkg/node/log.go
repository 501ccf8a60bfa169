package node

import (
	"io"
	"log/slog"

	"github.com/imagefit/imagefit/pkg/config"
)

// Logger returns the logger of a daemon: one line per event.
func Logger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == config.JSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// logLevel is the configured level, which is one of four words.
func logLevel(cfg config.Config) (level slog.Level) {
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return level
}
