package hostfacts

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestSourceKeepsFactsFresh(t *testing.T) {
	defer goleak.VerifyNone(t)
	root := tree(t, map[string]string{"proc/sys/kernel/osrelease": "6.1.0\n", "proc/modules": "xfs 1\n"})
	var log bytes.Buffer
	s := NewSource(context.Background(), root, slog.New(slog.NewTextHandler(&log, nil)))
	first := s.Current()
	if first.Lookup("kernel.loadedmodule", "xfs").State != facts.Present {
		t.Fatal("xfs is not there")
	}

	log.Reset()
	s.Refresh(context.Background())
	if log.Len() != 0 {
		t.Errorf("logged without a change: %s", &log)
	}

	if err := os.WriteFile(filepath.Join(root.Dir(), "proc/modules"), []byte("ext4 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	s.Refresh(cancelled)
	if s.Current().Lookup("kernel.loadedmodule", "xfs").State != facts.Present {
		t.Error("a cancelled refresh took the facts away")
	}

	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx, time.Millisecond) }()
	for s.Current().Lookup("kernel.loadedmodule", "xfs").State != facts.Absent {
		time.Sleep(time.Millisecond)
	}
	for before := s.Refreshed(); !s.Refreshed().After(before); { // one more, which changes nothing
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `changed="kernel.enabledmodule kernel.loadedmodule"`) {
		t.Errorf("log: %s", &log)
	}
	if n := testing.AllocsPerRun(100, func() { s.Current() }); n != 0 {
		t.Errorf("Current allocates %v times", n)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	s := NewSource(ctx, tree(t, nil), nil)
	cancel()
	if err := s.Run(ctx, 0); err != nil {
		t.Error(err)
	}
}

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

// TestHintsAndIntervalsLeadToRefreshes runs on a clock of its own.
func TestHintsAndIntervalsLeadToRefreshes(t *testing.T) {
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

func TestWithoutIntervalOnlyHintsLeadToRefreshes(t *testing.T) {
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

func TestSourceCountsChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release := filepath.Join(dir, "etc", "os-release")
	write := func(id string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(release), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(release, []byte("ID="+id+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	start := time.Now()
	s := NewSource(t.Context(), NewRoot(dir), nil)
	for step, want := range []struct {
		id      string
		changes uint64
	}{{"first", 0}, {"second", 1}, {"second", 1}, {"first", 2}} {
		write(want.id)
		before := s.Refreshed()
		if before.Before(start) || before.After(time.Now()) {
			t.Errorf("step %d: refreshed at %s", step, before)
		}
		s.Refresh(t.Context())
		if s.Changes() != want.changes || !s.Refreshed().After(before) {
			t.Errorf("step %d: %d changes, want %d; refreshed at %s after %s", step, s.Changes(), want.changes, s.Refreshed(), before)
		}
	}
}

// TestProblemsAreLoggedOnce: a bad file is logged once, not at every refresh, and
// again when it has another problem.
func TestProblemsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"etc/imagefit/facts.d/a.toml": "version = 1\nbroken\n"})
	var log bytes.Buffer
	source := NewSource(context.Background(), root, slog.New(slog.NewTextHandler(&log, nil)))
	count := func(text string) int { return strings.Count(log.String(), text) }
	source.Refresh(context.Background())
	if count("skipping facts source") != 1 || count("row 2") != 1 {
		t.Errorf("the log says\n%s", log.String())
	}
	if err := os.WriteFile(filepath.Join(root.Dir(), "etc/imagefit/facts.d/a.toml"), []byte("version = 1\n\nworse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source.Refresh(context.Background())
	if count("skipping facts source") != 2 || count("row 3") != 1 {
		t.Errorf("after a change the log says\n%s", log.String())
	}
}
