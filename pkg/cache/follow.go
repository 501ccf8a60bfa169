package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// ImageKey is the name under which an image id is kept, the same for each spelling of
// it. It is itself a spelling.
func ImageKey(id string) string {
	hex := strings.TrimPrefix(id, "sha256:")
	if digest.NewDigestFromEncoded(digest.SHA256, hex).Validate() != nil {
		hex = digest.FromString(id).Encoded()
	}
	return "sha256:" + hex
}

// Images lists the keys of the images about which something is kept.
func (c *Cache) Images() ([]string, error) {
	folder, err := os.Open(filepath.Join(c.dir, "images"))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	defer func() { _ = folder.Close() }()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var keys []string
	for _, name := range names {
		if key, ok := keyOf(name); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// FollowImages calls changed with the key of each image about which something else is
// kept, in whichever process, and with "" where some may have been missed. It returns
// when ctx ends, or when it is not told any more.
func (c *Cache) FollowImages(ctx context.Context, changed func(key string)) error {
	return fsutil.FollowDir(ctx, filepath.Join(c.dir, "images"), func(name string) {
		if name == "" {
			changed("")
		} else if key, ok := keyOf(name); ok {
			changed(key)
		}
	})
}

// keyOf returns the key of a file in the folder of images.
func keyOf(name string) (string, bool) {
	hex, ok := strings.CutSuffix(name, ".json")
	return "sha256:" + hex, ok && digest.NewDigestFromEncoded(digest.SHA256, hex).Validate() == nil
}
