package daemon

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/internal/testkit"
)

func TestSecondInstanceIsLogged(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), new(testkit.Log)
	log := slog.New(slog.NewTextHandler(out, nil))
	release := warnOfAnother("nri-plugin", dir, log)
	defer warnOfAnother("cri-proxy", dir, log)() // another program
	if out.Count("level=WARN") > 0 {
		t.Errorf("the only instance logs %s", out.String())
	}
	warnOfAnother("nri-plugin", dir, log)()
	if out.Count("another instance of this daemon runs") != 1 || out.Count("pid="+strconv.Itoa(os.Getpid())) != 1 {
		t.Errorf("the second logs %s", out.String())
	}
	release()
	warnOfAnother("nri-plugin", dir, log)()
	if out.Count("level=WARN") != 1 {
		t.Errorf("after the first has ended: %s", out.String())
	}
}

// TestAnythingMayBeInPlaceOfTheLock: a start neither waits for it nor fails.
func TestAnythingMayBeInPlaceOfTheLock(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":      func(path string) error { return os.Symlink("/dev/zero", path) },
		"nothing":   func(path string) error { return os.Remove(filepath.Dir(path)) },
	} {
		dir, out := t.TempDir(), new(testkit.Log)
		if err := put(filepath.Join(dir, "p.lock")); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		warnOfAnother("p", dir, slog.New(slog.NewTextHandler(out, nil)))()
		if out.String() != "" {
			t.Errorf("%s: logs %s", name, out.String())
		}
	}
}
