package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
)

// TestImagesAreFollowedUnderOneKey, whichever way the runtime writes their ids, also
// when another process keeps them.
func TestImagesAreFollowedUnderOneKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := cache.Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	other, err := cache.Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	keys, done := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(done)
		_ = c.FollowImages(ctx, func(key string) { keys <- key })
	}()
	if first := <-keys; first != "" {
		t.Errorf("began with %q", first)
	}
	id := digest.FromString("a")
	for _, spelling := range []string{id.String(), id.Encoded(), "localhost/a:1"} {
		if err := other.PutImage(spelling, "x"); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-keys:
			if want := cache.ImageKey(spelling); got != want {
				t.Errorf("told of %s, want %s", got, want)
			}
			var kept string
			if err := c.Image(got, &kept); err != nil || kept != "x" {
				t.Errorf("under the key of %s: %q, %v", spelling, kept, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("not told of %s", spelling)
		}
	}
	if all, err := c.Images(); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	cancel()
	<-done
}
