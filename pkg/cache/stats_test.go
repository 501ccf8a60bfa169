package cache_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/cache"
)

func TestUsesAndSizesAreCounted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	c := open(t, dir+"/./", roomy)
	d := digest.FromString("body")
	var doc document
	for range 2 { // the second time all of it is there
		_, _ = c.Blob(d)
		_, _ = c.BlobFrom("registry.test/app", d)
		_, _ = c.BlobFrom("registry.test/app", d)
		_, _ = c.Referrers("key", &doc)
		_ = c.Image(imageID("x"), &doc)
		must(t, c.PutBlobFrom("registry.test/app", d, []byte("body")))
		must(t, c.PutReferrers("key", doc))
		must(t, c.PutImage(imageID("x"), doc))
	}
	for kind, want := range map[string]cache.Uses{"blobs": {Hits: 3, Misses: 3}, "referrers": {Hits: 1, Misses: 1}, "images": {Hits: 1, Misses: 1}} {
		if got := c.Uses(kind); got != want {
			t.Errorf("%s: %+v, want %+v", kind, got, want)
		}
	}
	if got := strings.Join(cache.Kinds(), " "); got != "blobs referrers images" {
		t.Errorf("kinds %s", got)
	}
	sizes, err := c.Sizes()
	if err != nil || len(sizes) != 2 || sizes["images"] != (cache.Size{Files: 1, Bytes: 4096}) || sizes["objects"].Files == 0 || sizes["objects"].Bytes > 8192 {
		t.Errorf("sizes %+v, %v", sizes, err)
	}
	if c.Limit() != roomy {
		t.Errorf("limit %d", c.Limit())
	}
}

// A scrape of the metrics must not change what is on disk.
func TestSizesRemovesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	c := open(t, dir, roomy)
	leftover := filepath.Join(dir, "images", fsutil.TempPrefix+"1")
	must(t, os.WriteFile(leftover, []byte("half"), 0o600))
	must(t, os.Chtimes(leftover, time.Time{}, time.Now().Add(-48*time.Hour)))
	if sizes, err := c.Sizes(); err != nil || sizes["images"].Files != 0 {
		t.Errorf("sizes %+v, %v", sizes, err)
	}
	if _, err := os.Stat(leftover); err != nil {
		t.Error("a getter removed a file:", err)
	}
	must(t, c.Sweep())
	if _, err := os.Stat(leftover); err == nil {
		t.Error("a sweep left what a dead writer left")
	}
}
