package decisionlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNoFileBlocksAPull: whatever is in the place of the file, writing ends at once, and
// says what to remove.
func TestNoFileBlocksAPull(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(t *testing.T, path string) (release func()){
		"a pipe that nothing reads": fullPipe,
		"a link to a pipe": func(t *testing.T, path string) func() {
			release := fullPipe(t, path+".pipe")
			if err := os.Symlink(path+".pipe", path); err != nil {
				t.Fatal(err)
			}
			return release
		},
		"a device": func(t *testing.T, path string) func() {
			if err := os.Symlink("/dev/full", path); err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := Open(t.TempDir())
			path := filepath.Join(log.dir, file)
			release := place(t, path)
			done := make(chan error, 1)
			go func() { done <- log.Append(record(1, "a")) }()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), path+" is not a regular file: remove it") {
					t.Errorf("error %v", err)
				}
				release()
			case <-time.After(10 * time.Second):
				t.Error("writing blocks")
				release()
				if err := <-done; err != nil {
					t.Log(err)
				}
			}
		})
	}
}

// fullPipe makes a pipe that takes no more, until release.
func fullPipe(t *testing.T, path string) (release func()) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 64<<10)
	for err == nil {
		_, err = unix.Write(fd, buffer)
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	return func() {
		for err := error(nil); err == nil; {
			_, err = unix.Read(fd, buffer)
		}
		_ = unix.Close(fd)
	}
}
