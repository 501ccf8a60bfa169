package throttle_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/internal/throttle"
)

func TestThrottleAllowsOneEventAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events throttle.Throttle
		for _, step := range []struct {
			wait time.Duration
			due  int32 // of many at once
		}{
			{0, 1}, {0, 0}, {59 * time.Second, 0}, {time.Second, 1}, {time.Hour, 1}, {time.Second, 0},
		} {
			time.Sleep(step.wait)
			var due atomic.Int32
			var group sync.WaitGroup
			for range 20 {
				group.Go(func() {
					if events.Allow() {
						due.Add(1)
					}
				})
			}
			if group.Wait(); due.Load() != step.due {
				t.Errorf("%s later %d were allowed, want %d", step.wait, due.Load(), step.due)
			}
		}
	})
}

// Within synctest it is the year 2000.
func TestThrottleAllowsEventsAfterTheClockWasSetBack(t *testing.T) {
	var events throttle.Throttle
	if !events.Allow() || events.Allow() {
		t.Fatal("not just the first was allowed")
	}
	synctest.Test(t, func(t *testing.T) {
		if !events.Allow() || events.Allow() {
			t.Error("not just the first was allowed after the clock was set back")
		}
	})
}
