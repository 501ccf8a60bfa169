package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
)

// Writers and readers of several processes on one folder, with
// sweeps between. Whoever reads gets all of it or nothing.
func TestManyProcessesWriteAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var blobs [][]byte
	for i := range 8 {
		blobs = append(blobs, bytes.Repeat([]byte{byte('a' + i)}, 4096))
	}
	var group sync.WaitGroup
	for worker := range 6 {
		c := open(t, dir, 200<<10)
		group.Go(func() {
			for i := range 40 {
				blob := blobs[(i*(worker+1))%len(blobs)]
				if err := c.PutBlob(digest.FromBytes(blob), blob); err != nil {
					t.Error("put blob:", err)
				}
				if err := c.PutReferrers("key", document{Name: strings.Repeat("n", worker*100+i)}); err != nil {
					t.Error("put referrers:", err)
				}
				other := blobs[i%len(blobs)]
				if got, err := c.Blob(digest.FromBytes(other)); err != nil && !errors.Is(err, cache.ErrMiss) || err == nil && !bytes.Equal(got, other) {
					t.Errorf("blob: %d bytes, %v", len(got), err)
				}
				var doc document
				if _, err := c.Referrers("key", &doc); err != nil && !errors.Is(err, cache.ErrMiss) || strings.Trim(doc.Name, "n") != "" {
					t.Errorf("referrers: %+v, %v", doc, err)
				}
			}
		})
	}
	group.Wait()
	must(t, open(t, dir, 200<<10).Sweep())
	size := int64(0)
	for _, path := range files(t, dir) {
		if strings.Contains(path, ".tmp-") {
			t.Errorf("left behind: %s", path)
		}
		info, err := os.Stat(path)
		must(t, err)
		size += info.Size()
	}
	if size == 0 || size > 200<<10 {
		t.Errorf("%d bytes are kept, want some and at most %d", size, 200<<10)
	}
}

// putAged keeps a decision of one block that was last used so long ago.
func putAged(t *testing.T, c *cache.Cache, dir string, fill byte, age time.Duration) digest.Digest {
	t.Helper()
	d := digest.FromBytes([]byte{fill})
	must(t, c.PutImage(d.String(), document{Name: strings.Repeat("x", 1000)}))
	setAge(t, filepath.Join(dir, "images", d.Encoded()+".json"), age)
	return d
}

func setAge(t *testing.T, path string, age time.Duration) {
	t.Helper()
	at := time.Now().Add(-age)
	must(t, os.Chtimes(path, at, at))
}

func TestSweepKeepsTheFilesUsedLast(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, roomy)
	var digests []digest.Digest
	for i := range 6 {
		digests = append(digests, putAged(t, c, dir, byte('a'+i), time.Duration(10*(i+1))*time.Hour))
	}
	var doc document
	must(t, c.Image(digests[5].String(), &doc)) // the oldest is used once more
	tests := []struct {
		size int64
		want []int // which of the digests are left
	}{
		{6 * 4096, []int{0, 1, 2, 3, 4, 5}},
		{6*4096 - 1, []int{0, 1, 2, 3, 5}},
		{3 * 4096, []int{0, 1, 5}},
		{1, nil},
	}
	for _, tt := range tests {
		open(t, dir, tt.size) // which sweeps
		var left []int
		for i, d := range digests {
			if slices.Contains(files(t, dir), filepath.Join(dir, "images", d.Encoded()+".json")) {
				left = append(left, i)
			}
		}
		if !slices.Equal(left, tt.want) {
			t.Errorf("of %d bytes %v are left, want %v", tt.size, left, tt.want)
		}
	}
}

// TestWritingSweeps: a cache that runs for months stays within the bound.
func TestWritingSweeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const bound = 512 << 10
	c := open(t, dir, bound)
	for i := range 400 {
		must(t, c.PutReferrers(fmt.Sprint(i), document{Name: strings.Repeat("x", 2000)}))
	}
	sizes, err := c.Sizes()
	must(t, err)
	size := sizes["objects"].Bytes
	if size > bound+bound/8 || size < bound/4 {
		t.Errorf("%d bytes are kept, the bound is %d", size, bound)
	}
}

// TestSweepTouchesOnlyItsOwn: an operator may point state_dir at a folder that
// holds more.
func TestSweepTouchesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	foreign := []string{"precious", "aliases/x.json", ".tmp-somebody", "blobs/readme", "images/sub/file", "objects/sub/file"}
	for _, name := range foreign {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, make([]byte, 5000), 0o600))
		setAge(t, path, 1000*time.Hour)
	}
	c := open(t, dir, 1)
	must(t, c.PutReferrers("key", document{Name: "n"}))
	must(t, c.Sweep())
	want := make([]string, len(foreign))
	for i, name := range foreign {
		want[i] = filepath.Join(dir, name)
	}
	slices.Sort(want)
	got := files(t, dir)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
}

func TestSweepRemovesAbandonedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, roomy)
	old, young := filepath.Join(dir, "images", ".tmp-old"), filepath.Join(dir, "objects", ".tmp-young")
	for path, age := range map[string]time.Duration{old: 2 * time.Hour, young: 30 * time.Minute} {
		must(t, os.WriteFile(path, []byte("half"), 0o600))
		setAge(t, path, age)
	}
	must(t, c.Sweep())
	if got := files(t, dir); !slices.Equal(got, []string{young}) {
		t.Errorf("left are %v, want %s", got, young)
	}
}

// What is used is noted, but not with every read.
func TestReadingAFileKeepsItFromTheSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, roomy)
	for age, noted := range map[time.Duration]bool{50 * time.Second: false, 2 * time.Minute: true} {
		d := putAged(t, c, dir, byte(age/time.Second), age)
		var doc document
		must(t, c.Image(d.String(), &doc))
		info, err := os.Stat(filepath.Join(dir, "images", d.Encoded()+".json"))
		must(t, err)
		if got := time.Since(info.ModTime()) < 45*time.Second; got != noted {
			t.Errorf("last use %s ago: noted %v, want %v", age, got, noted)
		}
	}
}

// All of the state may be deleted at any time.
func TestARemovedFolderIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	c := open(t, dir, roomy)
	must(t, os.RemoveAll(dir))
	must(t, c.PutImage(imageID("x"), 7))
	var got int
	if err := c.Image(imageID("x"), &got); err != nil || got != 7 {
		t.Errorf("got %d, %v", got, err)
	}
	must(t, os.RemoveAll(dir))
	must(t, c.Sweep())
}

// A file stands where a folder is needed, which stops root
// too. The cache then misses and refuses, and never panics.
func TestAnUnusableFolderIsAnErrorForEachWrite(t *testing.T) {
	t.Parallel()
	for _, blocked := range []string{"", "objects", "images"} {
		t.Run("blocked "+blocked, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			path := filepath.Join(dir, blocked)
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, []byte("in the way"), 0o600))
			c, err := cache.Open(dir, roomy)
			if c == nil || err == nil || !strings.Contains(err.Error(), path) {
				t.Fatalf("open: %v, %v", c, err)
			}
			body := []byte("body")
			blobErr := c.PutBlob(digest.FromBytes(body), body)
			referrersErr := c.PutReferrers("key", 1)
			imageErr := c.PutImage(imageID("x"), 1)
			for kind, err := range map[string]error{"objects": blobErr, "objects, lists": referrersErr, "images": imageErr} {
				if refused := err != nil; refused != (blocked == "" || blocked != "" && strings.HasPrefix(kind, blocked)) {
					t.Errorf("put %s: %v", kind, err)
				}
			}
			var v int
			if _, err := c.Blob(digest.FromBytes(body)); (err == nil) != (blobErr == nil) {
				t.Errorf("blob: %v", err)
			}
			if _, err := c.Referrers("key", &v); (err == nil) != (referrersErr == nil) {
				t.Errorf("referrers: %v", err)
			}
			if err := c.Image(imageID("x"), &v); (err == nil) != (imageErr == nil) {
				t.Errorf("image: %v", err)
			}
		})
	}
}

// A folder stands where a file should be written.
func TestAFolderInAFilesPlaceIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, roomy)
	d := digest.FromString("body")
	must(t, c.PutBlob(d, []byte("body")))
	path := files(t, dir)[0]
	must(t, os.Remove(path))
	must(t, os.MkdirAll(filepath.Join(path, "of", "others"), 0o700))
	if err := c.PutBlob(d, []byte("body")); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("put: %v", err)
	}
	if _, err := c.Blob(d); err == nil {
		t.Error("a folder was read as a blob")
	}
	if found := files(t, dir); len(found) != 0 {
		t.Errorf("left behind: %v", found)
	}
}
