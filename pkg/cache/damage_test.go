package cache_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
)

// TestDamagedFilesAreAMissAndRemoved changes every byte of every kind of file, one at a time, and cuts
// the file short. A reader gets what was kept or a miss, never something else.
func TestDamagedFilesAreAMissAndRemoved(t *testing.T) {
	t.Parallel()
	doc := document{"name", []string{"a"}}
	kinds := map[string]struct {
		put func(*cache.Cache) error
		get func(*cache.Cache) (any, error)
	}{
		"blob": {
			func(c *cache.Cache) error { return c.PutBlob(digest.FromString("body"), []byte("body")) },
			func(c *cache.Cache) (any, error) {
				got, err := c.Blob(digest.FromString("body"))
				return string(got), err
			},
		},
		"referrers": {
			func(c *cache.Cache) error { return c.PutReferrers("key", doc) },
			func(c *cache.Cache) (any, error) {
				var v document
				at, err := c.Referrers("key", &v)
				return []any{at, v}, err
			},
		},
		"image": {
			func(c *cache.Cache) error { return c.PutImage(imageID("x"), doc) },
			func(c *cache.Cache) (any, error) {
				var v document
				err := c.Image(imageID("x"), &v)
				return v, err
			},
		},
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := open(t, dir, roomy)
			must(t, kind.put(c))
			good, err := kind.get(c)
			must(t, err)
			path := files(t, dir)[0]
			content, err := os.ReadFile(path)
			must(t, err)
			for what, damaged := range damages(content) {
				must(t, os.WriteFile(path, damaged, 0o600))
				got, err := kind.get(c)
				if err == nil && !reflect.DeepEqual(got, good) {
					t.Fatalf("%s: reads as %v", what, got)
				}
				if name != "image" { // what is damaged in a pack gives way with the next write
					if err != nil && !errors.Is(err, cache.ErrMiss) {
						t.Fatalf("%s: %v is no miss", what, err)
					}
					must(t, kind.put(c))
					if _, err := kind.get(c); err != nil {
						t.Fatalf("%s, written again: %v", what, err)
					}
					continue
				}
				if err == nil {
					continue // the case of a JSON key, which means nothing
				}
				if !errors.Is(err, cache.ErrMiss) {
					t.Fatalf("%s: %v is no miss", what, err)
				}
				if _, err := os.Stat(path); err == nil {
					t.Fatalf("%s: the damaged file is still there", what)
				}
			}
			must(t, kind.put(c))
			if got, err := kind.get(c); err != nil || reflect.TypeOf(got) != reflect.TypeOf(good) {
				t.Errorf("written again: %v, %v", got, err)
			}
		})
	}
}

func damages(content []byte) map[string][]byte {
	all := map[string][]byte{
		"empty": {}, "half": content[:len(content)/2], "last byte missing": content[:len(content)-1],
		"zeros": make([]byte, len(content)), "longer": append(append([]byte{}, content...), 'x'),
	}
	for i := range content {
		for _, bit := range []byte{1, 0x20, 0x80} {
			flipped := append([]byte{}, content...)
			flipped[i] ^= bit
			all[fmt.Sprintf("bit %x of byte %d in %q", bit, i, flipped)] = flipped
		}
	}
	return all
}
