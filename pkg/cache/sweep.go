package cache

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	// block is what a file takes at least: nearly all are smaller, and each has an inode.
	block = 4 << 10
	// maxNeeded bounds the blobs that one image keeps from being removed.
	maxNeeded = 1 << 20
	// share is the part of a space that one repository has for certain.
	share = 8
)

// cost is what a file of so many bytes takes on disk.
func cost(size int64) int64 { return max(1, (size+block-1)/block) * block }

// file is one file of the cache.
type file struct {
	folder string
	path   string
	cost   int64
	mod    time.Time // last use
	of     string    // a repository
	doomed bool
	needs  []*file // blobs that a decision rests on
	needed int     // by so many decisions
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
//   - decisions about images with the blobs that they need. Those about images that the
//     node no longer has go where they take more than half of the disk space, others
//     only where they take more than all of it;
//   - everything else, which can be fetched again, has the rest.
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
	decisions, others := spaces(files)
	doomed := c.goneBeyond(decisions, c.maxSize/2)
	decisions = slices.DeleteFunc(decisions, func(f *file) bool { return f.doomed })
	doomed = append(doomed, beyond(decisions, c.maxSize)...)
	for _, decision := range doomed {
		for _, blob := range decision.needs {
			if blob.needed--; blob.needed == 0 {
				doomed = append(doomed, blob)
			}
		}
	}
	left := c.maxSize - (total(files) - total(others) - total(doomed))
	return remove(append(doomed, beyond(others, left)...))
}

// goneBeyond picks decisions about images that the node no longer has, until the rest fits
// into a space.
func (c *Cache) goneBeyond(decisions []*file, size int64) []*file {
	excess := whole(decisions) - size
	if excess <= 0 {
		return nil
	}
	present, known := c.present()
	var doomed []*file
	for _, f := range decisions {
		if known && excess > 0 && !present[f.path] {
			excess -= f.whole()
			f.doomed = true
			doomed = append(doomed, f)
		}
	}
	return doomed
}

// beyond picks files until the rest fits into a space.
func beyond(files []*file, size int64) []*file {
	var doomed []*file
	excess := whole(files) - size
	used := map[string]int64{}
	for _, f := range files {
		used[f.of] += f.whole()
	}
	for _, all := range []bool{false, true} {
		for _, f := range files {
			isOver := f.of != "" && used[f.of] > size/share
			if excess <= 0 || f.doomed || !all && !isOver {
				continue
			}
			f.doomed = true
			excess -= f.whole()
			used[f.of] -= f.whole()
			doomed = append(doomed, f)
		}
	}
	return doomed
}

func whole(files []*file) (sum int64) {
	for _, f := range files {
		sum += f.whole()
	}
	return sum
}

// spaces tells what decisions need from everything else, and notes whose each file is.
func spaces(files []*file) (decisions, others []*file) {
	byName := map[string]*file{} // blobs
	for _, f := range files {
		if f.folder == "blobs/sha256" {
			byName[filepath.Base(f.path)] = f
		}
	}
	for _, f := range files {
		switch f.folder {
		case "images":
			f.readNeeds(byName)
		case "sources":
			f.of = sourceOf(f.path, byName)
		case "referrers":
			f.of = envelopeOf(f.path).Of
		}
	}
	for _, f := range files {
		switch {
		case f.folder == "images":
			decisions = append(decisions, f)
		case f.needed == 0:
			others = append(others, f)
		}
	}
	return decisions, others
}

// readNeeds reads which of the blobs a decision rests on. One that takes more than it
// may keeps only some.
func (f *file) readNeeds(blobs map[string]*file) {
	e := envelopeOf(f.path)
	f.of = e.Of
	size := int64(0)
	for _, d := range e.Needs {
		blob := blobs[strings.TrimPrefix(string(d), "sha256:")]
		if blob == nil || size+blob.cost > maxNeeded {
			continue
		}
		size += blob.cost
		blob.needed++
		f.needs = append(f.needs, blob)
	}
}

// whole is what a decision takes with its part of what it needs.
func (f *file) whole() int64 {
	sum := f.cost
	for _, blob := range f.needs {
		sum += blob.cost / int64(blob.needed)
	}
	return sum
}

func envelopeOf(path string) envelope {
	var e envelope
	if content, err := fsutil.ReadFile(path, maxFile); err == nil {
		_ = json.Unmarshal(content, &e) // what is damaged has no owner
	}
	return e
}

// sourceOf reads whose a blob is, and tells the blob.
func sourceOf(path string, blobs map[string]*file) string {
	content, err := fsutil.ReadFile(path, maxFile)
	if err != nil {
		return ""
	}
	repository, d, _ := strings.Cut(string(bytes.TrimSpace(content)), "@")
	if blob := blobs[strings.TrimPrefix(d, "sha256:")]; blob != nil && blob.of == "" {
		blob.of = repository
	}
	return repository
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
