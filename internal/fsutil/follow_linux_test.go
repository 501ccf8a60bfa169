package fsutil_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/fsutil"
)

func TestFollowDirTellsOfEachFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	names, done := make(chan string, 100), make(chan error, 1)
	go func() { done <- fsutil.FollowDir(ctx, dir, func(name string) { names <- name }) }()
	want := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-names:
				if got == want {
					return
				}
			case <-time.After(time.Minute):
				t.Fatalf("not told of %q", want)
			}
		}
	}
	want("")
	if err := fsutil.WriteAtomic(filepath.Join(dir, "a"), fsutil.WriteOptions{}, fsutil.Bytes([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	want("a")
	if err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want("b")
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	want("a")
	cancel()
	if err := <-done; err == nil {
		t.Error("it ended without an error")
	}
}

func TestFollowDirEndsWithItsDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	if err := fsutil.FollowDir(t.Context(), dir, func(string) {}); err == nil {
		t.Error("a directory that is not there is followed")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	began, done := make(chan string, 100), make(chan error, 1)
	go func() { done <- fsutil.FollowDir(t.Context(), dir, func(name string) { began <- name }) }()
	<-began
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(time.Minute):
		t.Error("it goes on")
	}
}
