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
)

// images are none that are known. They are asked for the rules in every hook.
type images struct{ asked func() }

func (i images) Snapshot() decision.Snapshot {
	i.asked()
	return decision.Snapshot{Rules: &decision.Rules{}}
}

func (images) Recall(decision.Snapshot, string) (decision.Recalled, error) {
	return decision.Recalled{}, cache.ErrMiss
}

func (images) Remembered() ([]string, error) { return nil, nil }

func (images) FollowRemembered(context.Context, func(string)) error { return errors.ErrUnsupported }

func pluginWith(t *testing.T, asked func()) *admission.Plugin {
	t.Helper()
	return admission.New(admission.Options{
		Images: images{asked}, Log: slog.New(slog.DiscardHandler),
		Record: func(r decisionlog.Record) { t.Errorf("recorded %v", r) },
	})
}

func TestSelfTestPassesWhenTheHookAnswers(t *testing.T) {
	t.Parallel()
	check := selfTest(pluginWith(t, func() {}), admission.Socket{Path: "/some.sock"})
	for range 2 {
		status, err := check(t.Context())
		if err != nil || !strings.Contains(status, "waiting for the runtime at /some.sock") {
			t.Errorf("got %q, %v", status, err)
		}
	}
}

// TestSelfTestFailsWhileTheHookHangs, and starts no further one.
func TestSelfTestFailsWhileTheHookHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		plugin := pluginWith(t, func() {
			if calls.Add(1) > 1 { // the first is that of New
				<-release
			}
		})
		check := selfTest(plugin, admission.Socket{Path: "/some.sock"})
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
		if n := calls.Load() - 1; n != 1 {
			t.Errorf("%d hooks were started", n)
		}
		close(release)
		synctest.Wait()
		for range 2 {
			if err := within(time.Second); err != nil {
				t.Error(err)
			}
		}
		if n := calls.Load() - 1; n != 2 {
			t.Errorf("%d hooks were started", n)
		}
	})
}

func TestStatusTellsWhetherTheRuntimeIsConnected(t *testing.T) {
	t.Parallel()
	plugin := admission.New(admission.Options{
		Images: images{func() {}}, Log: slog.New(slog.DiscardHandler), Record: func(decisionlog.Record) {},
	})
	if s := statusOf(plugin); s.Connected || s.Sessions != 0 {
		t.Errorf("before the first session: %+v", *s)
	}
	if _, err := plugin.Synchronize(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if s := statusOf(plugin); s.Sessions != 1 || s.Disconnects != 0 {
		t.Errorf("after the first: %+v", *s)
	}
}
