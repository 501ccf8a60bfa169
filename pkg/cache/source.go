package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// BlobFrom returns the content with this digest, verified, if it was fetched
// from this repository before. Knowing a digest gives no right to read: another
// tenant's private blob is not to be had by naming it in a repository of one's own.
func (c *Cache) BlobFrom(repository string, d digest.Digest) ([]byte, error) {
	path := c.sourcePath(repository, d)
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		c.uses.note(blobs, ErrMiss)
		return nil, ErrMiss
	case err != nil:
		return nil, err
	}
	c.touch(path)
	return c.Blob(d)
}

// PutBlobFrom keeps content as PutBlob does, as fetched from this repository.
func (c *Cache) PutBlobFrom(repository string, d digest.Digest, content []byte, durable bool) error {
	if err := c.PutBlob(d, content, durable); err != nil {
		return err
	}
	return c.write(c.sourcePath(repository, d), []byte(source(repository, d)+"\n"), false)
}

func (c *Cache) sourcePath(repository string, d digest.Digest) string {
	return filepath.Join(c.dir, "sources", digest.FromString(source(repository, d)).Encoded())
}

func source(repository string, d digest.Digest) string { return repository + "@" + d.String() }
