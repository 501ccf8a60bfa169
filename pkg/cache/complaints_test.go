package cache_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/pkg/cache"
)

func TestComplaints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cache.Complaints
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
					if c.Due() {
						due.Add(1)
					}
				})
			}
			if group.Wait(); due.Load() != step.due {
				t.Errorf("%s later %d were due, want %d", step.wait, due.Load(), step.due)
			}
		}
	})
}

// TestComplaintsOfAClockSetBack: in there it is the year 2000.
func TestComplaintsOfAClockSetBack(t *testing.T) {
	var c cache.Complaints
	if !c.Due() || c.Due() {
		t.Fatal("not just the first was due")
	}
	synctest.Test(t, func(t *testing.T) {
		if !c.Due() || c.Due() {
			t.Error("not just the first was due after the clock was set back")
		}
	})
}
