package cache_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// TestFilesFromTheFutureAreNotKeptForEver has files from the future: they count as used when they are, and
// what a writer left is taken away.
func TestFilesFromTheFutureAreNotKeptForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, roomy)
	must(t, c.PutImage(imageID("x"), 7))
	kept, left := files(t, dir)[0], filepath.Join(dir, "images", ".tmp-left")
	must(t, os.WriteFile(left, []byte("half"), 0o600))
	setAge(t, kept, -24*time.Hour)
	setAge(t, left, -24*time.Hour)
	var v int
	must(t, c.Image(imageID("x"), &v))
	must(t, c.Sweep())
	if got := files(t, dir); len(got) != 1 || got[0] != kept {
		t.Errorf("left are %v, want %s", got, kept)
	}
	if info, err := os.Stat(kept); err != nil || time.Until(info.ModTime()) > time.Minute {
		t.Errorf("last use %v, %v", info.ModTime(), err)
	}
}

// TestSomethingElseInAFilesPlaceIsAMiss has something other than a file where one should be. It is
// no content, holds nobody up, and gives way.
func TestSomethingElseInAFilesPlaceIsAMiss(t *testing.T) {
	t.Parallel()
	body := []byte("body")
	d := digest.FromBytes(body)
	for name, place := range map[string]func(path string) error{
		"pipe":         func(path string) error { return unix.Mkfifo(path, 0o600) },
		"folder":       func(path string) error { return os.Mkdir(path, 0o700) },
		"loop":         func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"link":         func(path string) error { return os.Symlink("/nowhere/at/all", path) },
		"endless link": func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := open(t, dir, roomy)
			must(t, c.PutBlobFrom("app", d, body))
			must(t, c.PutReferrers("key", 7))
			must(t, c.PutImage(imageID("x"), 7))
			for _, path := range files(t, dir) {
				must(t, os.Remove(path))
				must(t, place(path))
			}
			var v int
			_, blobErr := c.BlobFrom("app", d)
			_, referrersErr := c.Referrers("key", &v)
			for what, err := range map[string]error{"blob": blobErr, "referrers": referrersErr, "image": c.Image(imageID("x"), &v)} {
				if err == nil {
					t.Errorf("%s was read", what)
				}
			}
			_, _ = c.Blob(d)                  // so that it gives way, where the source already said no
			_ = c.PutBlobFrom("app", d, body) // where it came from may not be noted again
			must(t, c.PutReferrers("key", 7))
			must(t, c.PutImage(imageID("x"), 7))
			if got, err := c.Blob(d); err != nil || string(got) != "body" {
				t.Errorf("blob: %q, %v", got, err)
			}
			if _, err := c.Referrers("key", &v); err != nil || v != 7 {
				t.Errorf("referrers: %d, %v", v, err)
			}
			must(t, c.Image(imageID("x"), &v))
		})
	}
}
