package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/internal/testkit/cachetest"
)

// TestPullsSurviveAClockThatJumps has the clock of the node jump. Machines share theirs, so it is what
// the proxy has on disk that jumps, the other way.
func TestPullsSurviveAClockThatJumps(t *testing.T) {
	const years = 10 * 365 * 24 * time.Hour
	f := startFit(t, flagsV3, stack.Settings{Cache: "referrers_ttl = \"1h\"\nstale_for = \"24h\"\nmax_size_mib = 1"})
	for _, tt := range []struct {
		name  string
		shift time.Duration // of what was written before
		sick  string        // what a pull gives while the registry lists no referrers
	}{
		{"ahead, what is known is old", -years, taken},
		{"half a day ahead, what is known is stale", -12 * time.Hour, best},
		{"back, what is known is from the future", years, best},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := f.offer(t, f.fresh())
			w := watch(f, o)
			w.wantVariant(t, o, best)
			w.shift(t, tt.shift)
			f.registry.Forget()
			remove := f.registry.Inject(stack.Fault{Path: "/referrers/", Status: 503})
			t.Cleanup(remove)
			w.wantVariant(t, o, tt.sick)
			if f.registry.Count("GET", "/referrers/") == 0 {
				t.Error("what is known was taken for current")
			}
			remove()
			w.wantVariant(t, o, best)
			w.shift(t, tt.shift)
			w.wantVariant(t, o, best)
			w.wantSound(t)
		})
	}
	t.Run("back, the folder is full of the future", func(t *testing.T) {
		folder := filepath.Join(f.StateDir, "objects")
		for i := range 64 {
			name := filepath.Join(folder, digest.FromString(fmt.Sprint(i)).Encoded()+".one")
			put(t, name, make([]byte, 64<<10))
			setTime(t, name, time.Now().Add(years))
		}
		w := watch(f, f.offer(t, f.fresh()))
		w.restartProxy(t)
		if size := w.stateSize(t); size > 2<<20 { // with the journal
			t.Errorf("the state folder holds %d bytes, more than it may", size)
		}
		w.wantVariant(t, w.offers[0], best)
		w.wantVariant(t, w.offers[0], best)
		w.wantSound(t)
	})
}

// shift moves the times of all that is kept: those of the files, and those in the
// lists of referrers. The proxy restarts, for it does not use the clock of the
// node in what it remembers itself.
func (w *witness) shift(t *testing.T, by time.Duration) {
	t.Helper()
	if err := w.Proxy.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	if lists, err := cachetest.Shift(w.StateDir, by); err != nil || lists == 0 {
		t.Fatalf("%d lists were moved, %v", lists, err)
	}
	for _, path := range w.stateFiles(t) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		setTime(t, path, info.ModTime().Add(by))
	}
	w.restartProxy(t)
}

func setTime(t *testing.T, path string, to time.Time) {
	t.Helper()
	if err := os.Chtimes(path, to, to); err != nil {
		t.Fatal(err)
	}
}

func (w *witness) stateSize(t *testing.T) (size int64) {
	t.Helper()
	for _, path := range w.stateFiles(t) {
		if info, err := os.Stat(path); err == nil {
			size += info.Size()
		}
	}
	return size
}
