package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	// used is how precisely the last use of a file is kept, to save writes.
	used = time.Minute
	// abandoned is the age at which a temporary file has no writer any more.
	abandoned = time.Hour
)

// write puts content at path in one step, so that no reader ever sees half of
// it. Durable content survives a power cut; of other content such a cut may leave
// half, which the next reader notices and fetches again: a pull does not wait for
// the disk.
func (c *Cache) write(path string, content []byte, durable bool) error {
	if len(content) > maxFile {
		return fmt.Errorf("write %s: %d bytes are over the limit of %d", path, len(content), maxFile)
	}
	options := fsutil.WriteOptions{Sync: durable}
	err := fsutil.WriteAtomic(path, options, fsutil.Bytes(content))
	if errors.Is(err, fs.ErrNotExist) { // the folder was removed meanwhile
		err = os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = fsutil.WriteAtomic(path, options, fsutil.Bytes(content))
		}
	}
	if err != nil {
		return fmt.Errorf("write cache file: %w", err)
	}
	if c.written.Add(cost(int64(len(content)))) > c.maxSize/16 {
		return c.Sweep()
	}
	return nil
}

// touch notes that a file is in use. One from the future, after the clock was set
// back, must not outlive all that is used from now on.
func (c *Cache) touch(path string) {
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()).Abs() > used {
		now := time.Now()
		_ = os.Chtimes(path, now, now)
	}
}

// ignoreMissing lets another process remove a file first.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
