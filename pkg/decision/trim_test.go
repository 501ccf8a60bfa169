package decision

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestMemoryIsGivenBackAfterLookUpsAndAgainWhenTheirConnectionsAreClosed, unless it was little.
func TestMemoryIsGivenBackAfterLookUpsAndAgainWhenTheirConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now, rest, freed := uint64(20<<20), uint64(20<<20), 0
		trimmer := &trimmer{idle: now, inUse: func() uint64 { return now }, free: func() { freed++; now = rest }}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		want := func(what string, times int) {
			t.Helper()
			if freed != times {
				t.Errorf("%s: memory was given back %d times, want %d", what, freed, times)
			}
		}
		now += grown - 1
		trimmer.soon()
		pass(time.Hour)
		want("little", 0)

		now, rest = 100<<20, 50<<20 // of which connections have 30
		trimmer.soon()
		pass(settled - 1)
		trimmer.soon()
		pass(settled - 1)
		want("while look-ups follow each other", 0)
		pass(1)
		want("after the last", 1)
		rest = 20 << 20
		pass(closed)
		want("when connections are closed", 2)
		pass(time.Hour)
		want("later", 2)

		now = 100 << 20
		trimmer.soon()
		pass(settled)
		trimmer.soon() // the next pull, after which there is little
		pass(time.Hour)
		want("a pull that follows", 3)
	})
}
