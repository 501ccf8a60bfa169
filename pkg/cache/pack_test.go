package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/pkg/cache"
)

// A cache of this size has one pack.
const onePack = 256 << 10

func blobOf(i, size int) (digest.Digest, []byte) {
	content := bytes.Repeat([]byte(fmt.Sprintf("%d ", i)), 1+size/2)[:size]
	return digest.FromBytes(content), content
}

// TestSmallObjectsShareFiles: a disk counts blocks and inodes.
func TestSmallObjectsShareFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, onePack)
	var digests []digest.Digest
	for i := range 100 {
		d, content := blobOf(i, 300)
		must(t, c.PutBlobFrom("registry.test/app", d, content))
		must(t, c.PutBlobFrom("registry.test/app", d, content)) // again, which adds nothing
		digests = append(digests, d)
	}
	must(t, c.PutReferrers("registry.test/app@sha256:1", document{Name: "n"}))
	found := files(t, dir)
	if len(found) != 1 {
		t.Fatalf("%d files", len(found))
	}
	if info, err := os.Stat(found[0]); err != nil || info.Size() > 100*(300+2*96)+1000 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	for _, d := range digests {
		if _, err := open(t, dir, onePack).BlobFrom("registry.test/app", d); err != nil {
			t.Error(err)
		}
	}
}

// TestAPackMakesRoomWithinItself, by what was not used for longest; a large object is in a
// file of its own.
func TestAPackMakesRoomWithinItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, onePack)
	for i := range 300 {
		d, content := blobOf(i, 1000)
		must(t, c.PutBlobFrom(fmt.Sprint("registry.test/", i), d, content))
		if _, err := c.BlobFrom(fmt.Sprint("registry.test/", i), d); err != nil {
			t.Fatalf("what was written last is gone: %v", err)
		}
	}
	info, err := os.Stat(files(t, dir)[0])
	if err != nil || info.Size() > 128<<10 || info.Size() < 64<<10 {
		t.Errorf("the pack has %d bytes, %v", info.Size(), err)
	}
	d, content := blobOf(1000, 20<<10)
	must(t, c.PutBlob(d, content))
	if got, err := c.Blob(d); err != nil || !bytes.Equal(got, content) || len(files(t, dir)) != 2 {
		t.Errorf("a large one: %d bytes, %v, in %q", len(got), err, files(t, dir))
	}
}

// TestAListIsTheLatest, however large those before it were.
func TestAListIsTheLatest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, onePack)
	for i, size := range []int{10, 20 << 10, 30 << 10, 5, 100, 20 << 10, 3} {
		must(t, c.PutReferrers("key", document{Name: strings.Repeat("x", size)}))
		var got document
		if _, err := c.Referrers("key", &got); err != nil || len(got.Name) != size {
			t.Errorf("list %d: %d bytes, %v", i, len(got.Name), err)
		}
	}
	for range 1000 { // as a registry's lists are refreshed
		must(t, c.PutReferrers("key", document{Name: "n"}))
	}
	for _, path := range files(t, dir) {
		if info, err := os.Stat(path); err != nil || info.Size() > 32<<10 {
			t.Errorf("%s has %d bytes, %v", path, info.Size(), err)
		}
	}
}

// TestAnObjectThatIsCutShortCostsNoOther: its writer was killed.
func TestAnObjectThatIsCutShortCostsNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, onePack)
	var digests []digest.Digest
	for i := range 5 {
		d, content := blobOf(i, 100)
		must(t, c.PutBlob(d, content))
		digests = append(digests, d)
	}
	path := files(t, dir)[0]
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.Truncate(path, info.Size()-50))
	if _, err := c.Blob(digests[4]); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("half of a blob: %v", err)
	}
	d, content := blobOf(9, 100)
	must(t, c.PutBlob(d, content))
	for _, d := range append(digests[:4], d) {
		if _, err := c.Blob(d); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// TestAStoppedWriterStopsNoOther: it was stopped while it had the lock of a pack.
func TestAStoppedWriterStopsNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, onePack)
	one, content := blobOf(1, 100)
	must(t, c.PutBlob(one, content))
	stopped, err := os.OpenFile(files(t, dir)[0], os.O_RDWR, 0)
	must(t, err)
	defer func() { _ = stopped.Close() }()
	must(t, unix.Flock(int(stopped.Fd()), unix.LOCK_EX))
	two, content := blobOf(2, 100)
	must(t, c.PutBlob(two, content))
	_, err = stopped.WriteAt([]byte("what it still writes"), 0)
	must(t, err)
	for _, d := range []digest.Digest{one, two} {
		if _, err := c.Blob(d); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// TestPacksOfAnotherSizeAreRemoved: no reader would find what is in them.
func TestPacksOfAnotherSizeAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, content := blobOf(1, 100)
	must(t, open(t, dir, roomy).PutBlob(d, content))
	foreign := filepath.Join(dir, "objects", "README")
	must(t, os.WriteFile(foreign, nil, 0o600))
	must(t, open(t, dir, onePack).PutBlob(d, content))
	if found := files(t, dir); len(found) != 2 {
		t.Errorf("left are %q", found)
	}
}
