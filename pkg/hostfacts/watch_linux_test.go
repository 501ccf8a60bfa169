package hostfacts

import (
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

// expectWithin waits for something that happens on its own time.
func expectWithin(t *testing.T, limit time.Duration, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

func write(t *testing.T, root Root, name, content string) {
	t.Helper()
	path := filepath.Join(root.Dir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestFileEventsRefresh runs a source without an interval over a real inotify.
func TestFileEventsRefresh(t *testing.T) {
	defer goleak.VerifyNone(t)
	root := tree(t, map[string]string{"usr/lib/os-release": "ID=a\n", "etc/os-release": "-> ../usr/lib/os-release"})
	source := NewSource(context.Background(), root, nil)
	source.settle, source.gap = 10*time.Millisecond, 20*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	before := source.Current()
	go func() { done <- source.Run(ctx, 0) }()
	expectWithin(t, 10*time.Second, "the begin of watching", func() bool { return source.Current() != before })
	expect := func(what, set, element, value string) {
		t.Helper()
		expectWithin(t, 10*time.Second, what, func() bool {
			return source.Current().Lookup(set, element).Value == value
		})
	}
	steps := []struct {
		what   string
		change func()
		set    string
		want   string
	}{
		{"a directory that comes later", func() {
			write(t, root, operator.Dir+"/10-site.toml", "version = 1\n[attributes.\"site.rack\"]\nrow = \"one\"\n")
		}, "site.rack", "one"},
		{"a file written again", func() {
			write(t, root, operator.Dir+"/10-site.toml", "version = 1\n[attributes.\"site.rack\"]\nrow = \"two\"\n")
		}, "site.rack", "two"},
		{"the directory taken away", func() {
			if err := os.RemoveAll(filepath.Join(root.Dir(), "etc/imagefit")); err != nil {
				t.Error(err)
			}
		}, "site.rack", ""},
		{"the directory renamed into place", func() {
			write(t, root, "etc/next/facts.d/1.toml", "version = 1\n[attributes.\"site.rack\"]\nrow = \"three\"\n")
			if err := os.Rename(filepath.Join(root.Dir(), "etc/next"), filepath.Join(root.Dir(), "etc/imagefit")); err != nil {
				t.Error(err)
			}
		}, "site.rack", "three"},
	}
	for _, step := range steps {
		step.change()
		expect(step.what, step.set, "row", step.want)
	}
	write(t, root, operator.FeaturesDir+"/x", "site-feature=yes\n")
	expect("an NFD feature file", "local.feature", "site-feature", "yes")
	write(t, root, "usr/lib/os-release", "ID=b\n")
	expect("an upgrade of the system", "system.osrelease", "ID", "b")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestOtherFilesMakeNoHint reads the events itself: the kernel has queued them when
// a write returns.
func TestOtherFilesMakeNoHint(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"etc/os-release": "ID=a\n"})
	w, err := newFileWatch(root.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.inotify.Close() }()
	for name, want := range map[string]bool{"etc/passwd": false, "etc/imagefit.bak": false, "etc/os-release": true} {
		write(t, root, name, "x")
		buffer := make([]byte, 4<<10)
		n, err := w.inotify.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		for event := range inotifyEvents(buffer[:n]) {
			if w.concerns(event) != want {
				t.Errorf("%s: the event of %s is a hint: %v", name, event.name, !want)
			}
		}
	}
}

func TestWatchingNothingIsNoFailure(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	watchFiles(ctx, "/nonexistent-root", slog.New(slog.DiscardHandler), func(string) {})
}

// untilReceived writes to a uevent file, which has the kernel speak of its owner,
// until that arrives.
func untilReceived[T any](t *testing.T, file string, received <-chan T, failed <-chan error) (got T) {
	t.Helper()
	for range 100 {
		if err := os.WriteFile(file, []byte("add"), 0); err != nil {
			t.Skip("the kernel cannot be asked for an event: ", err)
		}
		select {
		case got = <-received:
			return got
		case err := <-failed:
			t.Skip("cannot receive kernel events: ", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("no event arrived")
	return got
}

// offer passes on what there is room for.
func offer[T any](to chan<- T, value T) {
	select {
	case to <- value:
	default:
	}
}

// TestUeventsOfTheKernel uses the null device, which is always there and to
// which nothing listens.
func TestUeventsOfTheKernel(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(context.Background())
	received, failed := make(chan uevent, 1), make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed <- listenUevents(ctx, func(e uevent) { offer(received, e) })
	}()
	defer func() { cancel(); <-done }()
	got := untilReceived(t, "/sys/devices/virtual/mem/null/uevent", received, failed)
	if want := (uevent{"add", "/devices/virtual/mem/null", "mem"}); got != want {
		t.Errorf("received %+v, want %+v", got, want)
	}
}

func TestModuleEventIsAHint(t *testing.T) {
	defer goleak.VerifyNone(t)
	files, err := filepath.Glob("/sys/module/*/uevent")
	devices, globErr := filepath.Glob("/sys/bus/pci/devices/*/uevent")
	if files = append(files, devices...); err == nil {
		err = globErr
	}
	if err != nil || len(files) == 0 {
		t.Skip("no module and no device has a uevent file: ", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hints, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		watchDevices(ctx, slog.New(slog.DiscardHandler), func(hint string) { offer(hints, hint) })
	}()
	defer func() { cancel(); <-done }()
	if got := untilReceived(t, files[0], hints, nil); got != "add module" && got != "add pci" {
		t.Errorf("hint %q", got)
	}
}

func FuzzInotifyEvents(f *testing.F) {
	event := make([]byte, unix.SizeofInotifyEvent+16)
	binary.NativeEndian.PutUint32(event[12:], 16)
	copy(event[unix.SizeofInotifyEvent:], "os-release")
	f.Add(event)
	f.Add(append(event, event[:20]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for event := range inotifyEvents(data) {
			n += unix.SizeofInotifyEvent
			if event.name == "" {
				t.Error("an event without a name")
			}
		}
		if n > len(data) {
			t.Errorf("%d bytes of events in %d", n, len(data))
		}
	})
}
