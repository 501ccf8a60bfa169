//go:build !linux

package hostfacts

import (
	"context"
	"log/slog"
)

// Events are those of Linux; elsewhere only the interval refreshes facts.
func watchFiles(context.Context, string, *slog.Logger, func(hint string)) {}

func watchDevices(context.Context, *slog.Logger, func(hint string)) {}
