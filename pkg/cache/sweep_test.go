package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
)

// putNeeded keeps a decision about an image of a repository with a body.
func putNeeded(t *testing.T, c *cache.Cache, repository, name string) digest.Digest {
	t.Helper()
	body := []byte("body of " + name)
	d := digest.FromBytes(body)
	must(t, c.PutBlobFrom(repository, d, body))
	must(t, c.PutImageOf(repository, imageID(name), document{Name: name}, d))
	return d
}

// flood pulls what fills the cache several times.
func flood(t *testing.T, c *cache.Cache, repository string, files, size int) {
	t.Helper()
	for i := range files {
		content := bytes.Repeat([]byte(fmt.Sprintf("%s %d ", repository, i)), 1+size/20)
		must(t, c.PutBlobFrom(repository, digest.FromBytes(content), content))
		must(t, c.PutReferrers(fmt.Sprintf("%s@%d", repository, i), document{Name: "list"}))
	}
}

// What admission needs is not pushed out by what others pull, however large or many.
func TestDecisionsAndTheirBodiesOutliveAFlood(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, 20_000} {
		dir := t.TempDir()
		c := open(t, dir, 1<<20)
		d := putNeeded(t, c, "registry.test/victim", "image")
		for _, path := range files(t, dir) {
			setAge(t, path, 1000*time.Hour)
		}
		for i := range 40 { // none of which has more than its share
			flood(t, c, fmt.Sprint("registry.test/stranger", i), 10, size)
		}
		must(t, c.Sweep())
		var doc document
		bodies, err := c.ImageWithBodies(imageID("image"), &doc)
		if err != nil || string(bodies[d]) != "body of image" {
			t.Errorf("%d bytes each: the decision is gone, or its body: %q, %v", size, bodies, err)
		}
		sizes, err := c.Sizes()
		if kept := sizes["objects"].Bytes + sizes["images"].Bytes; err != nil || kept > 1<<20 || kept < 1<<16 {
			t.Errorf("%d bytes each: %d bytes are kept, %v", size, kept, err)
		}
	}
}

// One repository has its share, and no more while others need the space.
func TestARepositoryIsCutDownToItsShareFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, 1<<20)
	var quiet []digest.Digest
	for i := range 6 {
		body := []byte(fmt.Sprint("quiet ", i))
		quiet = append(quiet, digest.FromBytes(body))
		must(t, c.PutBlobFrom("registry.test/quiet", quiet[i], body))
	}
	for _, path := range files(t, dir) {
		setAge(t, path, time.Hour)
	}
	flood(t, c, "registry.test/stranger", 600, 5000)
	must(t, c.Sweep())
	for _, d := range quiet {
		if _, err := c.BlobFrom("registry.test/quiet", d); err != nil {
			t.Errorf("%s is gone: %v", d, err)
		}
	}
}

// Decisions about images that the node no longer has go first, and no others while it is
// known what the node has.
func TestDecisionsGoWhenTheImageIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, 1<<30)
	bodies := map[string]digest.Digest{}
	for i := range 30 {
		for _, kind := range []string{"here", "gone"} {
			name := fmt.Sprint(kind, i)
			bodies[name] = putNeeded(t, c, fmt.Sprint("registry.test/", kind, i%3), name)
		}
	}
	var present []string
	for i := range 30 {
		present = append(present, imageID(fmt.Sprint("here", i)))
	}
	c = reopen(t, dir, 66*4096, func() ([]string, error) { return present, nil })
	for name, d := range bodies {
		var doc document
		kept, err := c.ImageWithBodies(imageID(name), &doc)
		if strings.HasPrefix(name, "here") && err != nil || err == nil && kept[d] == nil {
			t.Errorf("%s: %v, %q", name, err, kept)
		}
		if err != nil && !errors.Is(err, cache.ErrMiss) {
			t.Error(err)
		}
	}
}

// reopen opens a cache of a size that is swept by what the node has.
func reopen(t *testing.T, dir string, size int64, onNode func() ([]string, error)) *cache.Cache {
	t.Helper()
	c := open(t, t.TempDir(), size)
	c.SetDir(dir)
	c.SetOnNode(onNode)
	must(t, c.Sweep())
	return c
}
