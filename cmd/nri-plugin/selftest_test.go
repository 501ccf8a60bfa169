package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/pkg/admission"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/selector"
)

// recall is a cache of images that returns an error.
type recall func(string) error

func (r recall) Snapshot() decision.Snapshot {
	return decision.Snapshot{Rules: &decision.Rules{}}
}

func (r recall) Recall(_ decision.Snapshot, id string, _ ...string) (decision.Variant, selector.Verdict, error) {
	return decision.Variant{}, selector.Verdict{}, r(id)
}

func pluginWith(t *testing.T, images recall) *admission.Plugin {
	t.Helper()
	return admission.New(admission.Options{
		Images: images, Log: slog.New(slog.DiscardHandler),
		Record: func(r decisionlog.Record) { t.Errorf("recorded %v", r) },
	})
}

func TestSelfTestPassesWhenTheHookAnswers(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"image not cached": cache.ErrMiss, "cache not readable": errors.New("disk on fire")} {
		check := selfTest(pluginWith(t, func(string) error { return err }), "/some.sock")
		for range 2 {
			status, err := check(t.Context())
			if err != nil || !strings.Contains(status, "waiting for the runtime at /some.sock") {
				t.Errorf("%s: got %q, %v", name, status, err)
			}
		}
	}
}

// TestSelfTestFailsWhileTheHookHangs, and starts no further one.
func TestSelfTestFailsWhileTheHookHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		check := selfTest(pluginWith(t, func(string) error {
			calls.Add(1)
			<-release
			return cache.ErrMiss
		}), "/some.sock")
		within := func(limit time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := check(ctx)
			return err
		}
		for range 3 {
			if err := within(time.Second); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d hooks were started", n)
		}
		close(release)
		synctest.Wait()
		for range 2 {
			if err := within(time.Second); err != nil {
				t.Error(err)
			}
		}
		if n := calls.Load(); n != 2 {
			t.Errorf("%d hooks were started", n)
		}
	})
}
