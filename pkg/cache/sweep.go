package cache

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	// block is what a file takes at least.
	block = 4 << 10
	// share is the part of a space that one repository has for certain.
	share = 8
	// abandoned is the age at which a temporary file has no writer any more.
	abandoned = time.Hour
)

// cost is what a file of so many bytes takes on disk.
func cost(size int64) int64 { return max(1, (size+block-1)/block) * block }

// file is one file of the cache, or an object in one, of which some may be removed.
type file struct {
	folder string
	path   string
	cost   int64
	mod    time.Time // last use
	of     owner
	doomed bool
}

// SetOnNode lets sweeps ask for the ids of the images that the node has. Decisions about
// them are then kept, and those about others go first.
func (c *Cache) SetOnNode(list func() ([]string, error)) { c.onNode.Store(&list) }

// present returns the files of the decisions about the images that the node has, or false
// where that is not known.
func (c *Cache) present() (map[string]bool, bool) {
	list := c.onNode.Load()
	if list == nil {
		return nil, false
	}
	ids, err := (*list)()
	if err != nil {
		return nil, false
	}
	present := map[string]bool{}
	for _, id := range ids {
		if path, err := c.imagePath(id); err == nil {
			present[path] = true
		}
	}
	return present, true
}

// Sweep removes the leftovers of writers that died. When all files together take more
// than they may, it also removes files until they do not, in two spaces:
//
//   - decisions about images. Those about images that the node no longer has go where
//     they take more than half of the disk space, others only where they take more than
//     all of it;
//   - everything else, which can be fetched again, has the rest. Packs never take more
//     than half of the disk space, and make room within themselves.
//
// In both a repository with more than its share is cut down to that first; then those
// unused for longest go.
func (c *Cache) Sweep() error {
	c.written.Store(0)
	files, leftovers, err := c.list()
	if err != nil {
		return fmt.Errorf("sweep cache: %w", err)
	}
	if err := remove(leftovers); err != nil {
		return err
	}
	if total(files) <= c.maxSize {
		return nil
	}
	slices.SortFunc(files, func(a, b *file) int { return cmp.Or(a.mod.Compare(b.mod), strings.Compare(a.path, b.path)) })
	var decisions, others []*file
	for _, f := range files {
		if f.folder == "images" {
			f.of = ownerOf(ofDecision(f.path))
			decisions = append(decisions, f)
		} else {
			f.of = ownerOfFile(f.path)
			others = append(others, f)
		}
	}
	doomed := c.goneBeyond(decisions, c.maxSize/2)
	decisions = slices.DeleteFunc(decisions, func(f *file) bool { return f.doomed })
	doomed = append(doomed, beyond(decisions, c.maxSize)...)
	left := c.maxSize - (total(files) - total(others) - total(doomed))
	return remove(append(doomed, beyond(others, left)...))
}

// goneBeyond picks decisions about images that the node no longer has, until the rest fits
// into a space.
func (c *Cache) goneBeyond(decisions []*file, size int64) []*file {
	excess := total(decisions) - size
	if excess <= 0 {
		return nil
	}
	present, known := c.present()
	var doomed []*file
	for _, f := range decisions {
		if known && excess > 0 && !present[f.path] {
			excess -= f.cost
			f.doomed = true
			doomed = append(doomed, f)
		}
	}
	return doomed
}

// beyond picks files until the rest fits into a space.
func beyond(files []*file, size int64) []*file {
	var doomed []*file
	excess := total(files) - size
	used := map[owner]int64{}
	for _, f := range files {
		used[f.of] += f.cost
	}
	for _, all := range []bool{false, true} {
		for _, f := range files {
			isOver := f.of != (owner{}) && used[f.of] > size/share
			if excess <= 0 || f.doomed || !all && !isOver {
				continue
			}
			f.doomed = true
			excess -= f.cost
			used[f.of] -= f.cost
			doomed = append(doomed, f)
		}
	}
	return doomed
}

// ofDecision reads whose a decision is. What is damaged is nobody's.
func ofDecision(path string) string {
	e, _ := readDecision(path)
	return e.Of
}

// ownerOfFile reads whose a file of one large object is. A pack is that of many.
func ownerOfFile(path string) (of owner) {
	if !strings.HasSuffix(path, ".one") {
		return of
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return of
	}
	defer func() { _ = f.Close() }()
	var header [headerSize]byte
	if _, err := io.ReadFull(f, header[:]); err == nil && string(header[:len(magic)]) == magic {
		copy(of[:], header[ownerAt:])
	}
	return of
}

func total(files []*file) (sum int64) {
	for _, f := range files {
		sum += f.cost
	}
	return sum
}

func remove(files []*file) error {
	for _, f := range files {
		if err := ignoreMissing(os.Remove(f.path)); err != nil {
			return fmt.Errorf("sweep cache: %w", err)
		}
	}
	return nil
}

// list returns the files of the cache, and the temporary ones that no writer will
// finish.
func (c *Cache) list() (files, leftovers []*file, err error) {
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
			f := &file{folder: folder, path: filepath.Join(c.dir, folder, entry.Name()), cost: cost(info.Size()), mod: info.ModTime()}
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
