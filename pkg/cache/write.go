package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	// used is how precisely the last use of a file is kept, to save writes.
	used = time.Hour
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
	if c.written.Add(int64(len(content))) > c.maxSize/16 {
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

type file struct {
	folder string
	path   string
	size   int64
	mod    time.Time
}

// Sweep removes the files unused for longest until the rest is within the
// bound, and the leftovers of writers that died.
func (c *Cache) Sweep() error {
	c.written.Store(0)
	files, leftovers, err := c.list()
	if err != nil {
		return fmt.Errorf("sweep cache: %w", err)
	}
	slices.SortFunc(files, func(a, b file) int { return a.mod.Compare(b.mod) })
	all := slices.Concat(leftovers, files)
	var total int64
	for _, f := range all {
		total += f.size
	}
	for i, f := range all {
		if i >= len(leftovers) && total <= c.maxSize {
			return nil
		}
		if err := ignoreMissing(os.Remove(f.path)); err != nil {
			return fmt.Errorf("sweep cache: %w", err)
		}
		total -= f.size
	}
	return nil
}

// list returns the files of the cache, and the temporary ones that no writer will
// finish.
func (c *Cache) list() (files, leftovers []file, err error) {
	for _, folder := range folders() {
		entries, err := os.ReadDir(filepath.Join(c.dir, folder))
		if ignoreMissing(err) != nil {
			return nil, nil, err
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if ignoreMissing(err) != nil {
				return nil, nil, err
			}
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			f := file{folder, filepath.Join(c.dir, folder, entry.Name()), info.Size(), info.ModTime()}
			switch {
			case !strings.HasPrefix(entry.Name(), fsutil.TempPrefix):
				files = append(files, f)
			case time.Since(f.mod).Abs() > abandoned:
				leftovers = append(leftovers, f)
			}
		}
	}
	return files, leftovers, nil
}

// ignoreMissing lets another process remove a file first.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
