package hostfacts

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// countedSource sees a new value of ID in each refresh.
func countedSource(t *testing.T) (source *Source, refreshes func() int) {
	t.Helper()
	root := tree(t, map[string]string{"etc/os-release": "ID=0\n"})
	source = NewSource(context.Background(), root, nil)
	return source, func() int {
		n, err := strconv.Atoi(source.Current().Lookup("system.osrelease", "ID").Value)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// TestFollow runs on a clock of its own: the loop sees a stream of hints and
// an interval.
func TestFollow(t *testing.T) {
	source, id := countedSource(t)
	path := filepath.Join(source.root.Dir(), "etc/os-release")
	put := func(n int) {
		if err := os.WriteFile(path, []byte("ID="+strconv.Itoa(n)+"\n"), 0o644); err != nil {
			t.Error(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		hints := make(chan string, 1)
		done := make(chan struct{})
		go func() { source.follow(ctx, time.Minute, hints); close(done) }()
		at := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := id(); got != want {
				t.Errorf("sees %d, want %d", got, want)
			}
		}
		put(1)
		hints <- "first"
		at(settle-time.Millisecond, 0) // companions are waited for
		at(2*time.Millisecond, 1)
		put(2)
		hints <- "second"
		at(settle+time.Millisecond, 1) // too soon after the one before
		at(minGap, 2)
		put(3)
		for range 2500 { // a storm delays nothing
			hints <- "storm"
			time.Sleep(time.Millisecond)
		}
		at(0, 3)
		put(4)
		at(time.Minute, 4) // by the interval alone
		cancel()
		<-done
	})
}

func TestFollowWithoutInterval(t *testing.T) {
	source, id := countedSource(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		before := source.Current()
		source.follow(ctx, 0, nil)
		if source.Current() != before || id() != 0 {
			t.Error("collected without a reason")
		}
	})
}
