package decisionlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// follower collects what Follow finds, in a bubble with a clock of its own.
type follower struct {
	l      *Log
	found  []Record
	failed error
	stop   func()
}

func follow(t *testing.T, l *Log, f Filter, latest int) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	w := &follower{l: l, stop: func() { cancel(); <-done }}
	go func() {
		defer close(done)
		w.failed = l.Follow(ctx, f, latest, func(r Record) error {
			w.found = append(w.found, r)
			return nil
		})
	}()
	synctest.Wait()
	return w
}

// look lets the follower poll some times.
func (w *follower) look(times int) {
	time.Sleep(time.Duration(times)*followPause + time.Millisecond)
	synctest.Wait()
}

func TestFollowFindsWhatIsAppended(t *testing.T) {
	t.Parallel()
	path := func(l *Log) string { return filepath.Join(l.dir, file) }
	remove := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		filter Filter
		latest int
		steps  func(t *testing.T, l *Log, w *follower)
		want   string
	}{
		"from now on": {want: "c d", steps: func(t *testing.T, l *Log, w *follower) {
			appendAll(t, l, record(1, "c"), record(1, "d"))
		}},
		"the latest and more": {latest: 1, want: "b c", steps: func(t *testing.T, l *Log, w *follower) {
			appendAll(t, l, record(1, "c"))
		}},
		"all that are selected": {latest: 10, filter: Filter{Reference: "b"}, want: "b bb", steps: func(t *testing.T, l *Log, w *follower) {
			appendAll(t, l, record(1, "c"), record(1, "bb"))
		}},
		"half a line": {want: "c", steps: func(t *testing.T, l *Log, w *follower) {
			f, err := os.OpenFile(path(l), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			_, _ = f.WriteString(`{"time":"2026-03-04T12:00:01Z",`)
			w.look(2)
			_, _ = f.WriteString(`"reference":"c"}` + "\n")
		}},
		"a line too long": {want: "c d", steps: func(t *testing.T, l *Log, w *follower) {
			appendAll(t, l, record(1, "c"))
			f, err := os.OpenFile(path(l), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			_, _ = f.WriteString(strings.Repeat("x", 3*maxLine) + "\n")
			w.look(2)
			appendAll(t, l, record(1, "d"))
		}},
		"deleted": {want: "c d", steps: func(t *testing.T, l *Log, w *follower) {
			appendAll(t, l, record(1, "c"))
			w.look(1)
			remove(t, path(l))
			w.look(2)
			appendAll(t, l, record(1, "d"))
		}},
		"cut off": {want: "c d", steps: func(t *testing.T, l *Log, w *follower) {
			appendAll(t, l, record(1, "c"))
			w.look(1)
			if err := os.Truncate(path(l), 0); err != nil {
				t.Fatal(err)
			}
			w.look(1)
			appendAll(t, l, record(1, "d"))
		}},
		"rotated": {want: "c d e f", steps: func(t *testing.T, l *Log, w *follower) {
			appendAll(t, l, record(1, "c"))
			l.max = 1 // from now on each record moves the file away
			appendAll(t, l, record(1, "d"))
			w.look(3)
			l.max = maxFile
			appendAll(t, l, record(1, "e"), record(1, "f"))
		}},
		"a late writer": {want: "c d e", steps: func(t *testing.T, l *Log, w *follower) {
			late, err := os.OpenFile(path(l), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = late.Close() }()
			l.max = 1
			appendAll(t, l, record(1, "c"))
			l.max = maxFile
			appendAll(t, l, record(1, "e"))
			w.look(1)
			_, _ = late.WriteString(`{"time":"2026-03-04T12:00:01Z","reference":"d"}` + "\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := Open(t.TempDir())
			appendAll(t, l, record(1, "a"), record(1, "b"))
			synctest.Test(t, func(t *testing.T) {
				w := follow(t, l, test.filter, test.latest)
				test.steps(t, l, w)
				w.look(3)
				w.stop()
				if got := references(w.found); got != test.want || w.failed != nil {
					t.Errorf("found %q, %v, want %q", got, w.failed, test.want)
				}
			})
		})
	}
}

// TestFollowLosesNothingAcrossRotations starts before there is a file.
func TestFollowLosesNothingAcrossRotations(t *testing.T) {
	t.Parallel()
	l := Open(filepath.Join(t.TempDir(), "later"))
	l.max = 2 << 10
	synctest.Test(t, func(t *testing.T) {
		w := follow(t, l, Filter{}, 0)
		var want []string
		for i := range 100 {
			name := fmt.Sprintf("app:%d", i)
			want = append(want, name)
			appendAll(t, l, record(1, name))
			if i%5 == 0 {
				w.look(2)
			}
		}
		w.look(3)
		w.stop()
		if got := references(w.found); got != strings.Join(want, " ") || w.failed != nil {
			t.Errorf("found %s, %v", got, w.failed)
		}
	})
}

// TestFollowEndsWithTheFirstError: that of the callback, unchanged, or of a log
// that cannot be read.
func TestFollowEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	l := Open(t.TempDir())
	appendAll(t, l, record(1, "a"), record(1, "b"))
	enough := errors.New("enough")
	calls := 0
	err := l.Follow(t.Context(), Filter{}, 2, func(Record) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	synctest.Test(t, func(t *testing.T) {
		go func() {
			time.Sleep(time.Second)
			_ = l.Append(record(1, "c"))
			_ = l.Append(record(1, "d"))
		}()
		calls = 0
		err := l.Follow(t.Context(), Filter{}, 0, func(Record) error { calls++; return enough })
		if !errors.Is(err, enough) || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
	if err := os.Remove(filepath.Join(l.dir, file)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(l.dir, file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Follow(t.Context(), Filter{}, 0, func(Record) error { return nil }); err == nil {
		t.Error("a folder can be followed")
	}
}
