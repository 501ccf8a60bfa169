package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// BlobFrom returns the content with this digest, verified, if it was fetched
// from this repository before. Knowing a digest gives no right to read: another tenant's
// private blob is not to be had by naming it in a repository of one's own.
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
	// That the file is there says it all, so it need not be written in one step.
	path, text := c.sourcePath(repository, d), []byte(source(repository, d)+"\n")
	err := overwrite(path, text)
	if errors.Is(err, fs.ErrNotExist) { // the folder was removed meanwhile
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = overwrite(path, text)
		}
	}
	if err != nil {
		return fmt.Errorf("write cache file: %w", err)
	}
	c.written.Add(int64(len(text)))
	return nil
}

// overwrite writes a file in place, or to what is there in its place: it does not
// wait for the other end of a pipe, nor follow a link.
func overwrite(path string, text []byte) error {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC | unix.O_NONBLOCK | unix.O_NOFOLLOW
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func (c *Cache) sourcePath(repository string, d digest.Digest) string {
	return filepath.Join(c.dir, "sources", digest.FromString(source(repository, d)).Encoded())
}

func source(repository string, d digest.Digest) string { return repository + "@" + d.String() }
