package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/admission"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/selector"
)

// recall is what the plugin knows of images.
type recall func(string) error

func (r recall) Snapshot() decision.Snapshot {
	return decision.Snapshot{Rules: &decision.Rules{}}
}

func (r recall) Recall(_ decision.Snapshot, id string, _ ...string) (decision.Variant, selector.Verdict, error) {
	return decision.Variant{}, selector.Verdict{}, r(id)
}

func TestAlive(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, c := range map[string]struct {
		images recall
		alive  bool
	}{
		"knows nothing of it": {func(string) error { return cache.ErrMiss }, true},
		"cannot read":         {func(string) error { return errors.New("disk on fire") }, true},
		"hangs": {func(string) error {
			<-release
			return nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plugin := admission.New(admission.Options{
				Images: c.images, Log: slog.New(slog.DiscardHandler),
				Record: func(r decisionlog.Record) { t.Errorf("recorded %v", r) },
			})
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			status, err := alive(plugin, "/some.sock")(ctx)
			if (err == nil) != c.alive || c.alive && !strings.Contains(status, "waiting for the runtime at /some.sock") {
				t.Errorf("got %q, %v", status, err)
			}
		})
	}
}
