package cache_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
)

// What BenchmarkState keeps: what a pull of an index with four variants does, each with an
// artifact.
const (
	manyImages = 10_000
	variants   = 4
	listSize   = 300
	bodySize   = 450
	indexSize  = 1500
)

// BenchmarkState measures a state folder of 10,000 images, of which each has one object of
// its own everywhere: what it takes on disk, how long a daemon takes to open it, a first
// scrape to measure it and a pull to look something up.
func BenchmarkState(b *testing.B) {
	dir := b.TempDir()
	c, err := cache.Open(dir, 256<<20)
	if err != nil {
		b.Fatal(err)
	}
	var some []digest.Digest
	for i := range manyImages {
		d, err := putPull(c, i)
		if err != nil {
			b.Fatal(err)
		}
		some = append(some, d)
	}
	files, bytes := 0, int64(0)
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			files++
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	var opening, measuring, finding time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		again, err := cache.Open(dir, 256<<20)
		opened := time.Now()
		sizes, errSizes := again.Sizes()
		measured := time.Now()
		_, errBlob := again.BlobFrom("registry.test/app", some[i*7919%manyImages])
		if err != nil || errSizes != nil || errBlob != nil || sizes["images"].Files != manyImages {
			b.Fatal(err, errSizes, errBlob, sizes)
		}
		opening += opened.Sub(began)
		measuring += measured.Sub(opened)
		finding += time.Since(measured)
	}
	b.ReportMetric(float64(files), "files")
	b.ReportMetric(float64(bytes)/1e6, "disk-MB")
	for unit, sum := range map[string]time.Duration{"open-us": opening, "scrape-us": measuring, "lookup-us": finding} {
		b.ReportMetric(float64(sum.Microseconds())/float64(b.N), unit)
	}
}

// putPull keeps what the pull of an image leaves, and returns a blob of it.
func putPull(c *cache.Cache, i int) (index digest.Digest, err error) {
	const repository = "registry.test/app"
	put := func(what string, size int) digest.Digest {
		content := []byte(fmt.Sprintf("%s of %d %s", what, i, strings.Repeat("x", size)))
		d := digest.FromBytes(content)
		if err == nil {
			err = c.PutBlobFrom(repository, d, content)
		}
		return d
	}
	list := func(of string) {
		if err == nil {
			err = c.PutReferrers(fmt.Sprintf("%s@%s of %d", repository, of, i), document{Name: strings.Repeat("x", listSize)})
		}
	}
	index = put("index", indexSize)
	list("index")
	var body digest.Digest
	for v := range variants {
		list(fmt.Sprint("variant ", v))
		put(fmt.Sprint("artifact ", v), bodySize)
		body = put(fmt.Sprint("body ", v), bodySize)
	}
	if err != nil {
		return "", err
	}
	return index, c.PutImageOf(repository, imageID(fmt.Sprint(i)), document{Name: strings.Repeat("x", bodySize)}, body)
}
