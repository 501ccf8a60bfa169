package decision

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestMemoryIsGivenBackAfterLookUpsAndAgainWhenTheirConnectionsAreClosed, unless it was little.
func TestMemoryIsGivenBackAfterLookUpsAndAgainWhenTheirConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, rest atomic.Uint64
		var freed atomic.Int32
		now.Store(20 << 20)
		trimmer := &trimmer{idle: now.Load(), inUse: now.Load, free: func() { freed.Add(1); now.Store(rest.Load()) }}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		want := func(what string, times int32) {
			t.Helper()
			if n := freed.Load(); n != times {
				t.Errorf("%s: memory was given back %d times, want %d", what, n, times)
			}
		}
		now.Add(grown - 1)
		trimmer.soon()
		pass(time.Hour)
		want("little", 0)

		now.Store(100 << 20)
		rest.Store(50 << 20) // of which connections have 30
		trimmer.soon()
		pass(settled - 1)
		trimmer.soon()
		pass(settled - 1)
		want("while look-ups follow each other", 0)
		pass(1)
		want("after the last", 1)
		rest.Store(20 << 20)
		pass(closed)
		want("when connections are closed", 2)
		pass(time.Hour)
		want("later", 2)

		now.Store(100 << 20)
		trimmer.soon()
		pass(settled)
		trimmer.soon() // the next pull, after which there is little
		pass(time.Hour)
		want("a pull that follows", 3)
	})
}
