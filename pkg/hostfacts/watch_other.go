//go:build !linux

package hostfacts

import (
	"context"
	"log/slog"
)

// Only Linux says when something changes.
func watchFiles(context.Context, string, *slog.Logger, func(hint string)) {}

func watchDevices(context.Context, *slog.Logger, func(hint string)) {}
