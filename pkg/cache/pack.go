package cache

import (
	"bytes"
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
	// maxPack is how large a pack may become.
	maxPack = 128 << 10
	// maxSmall is how large an object in a pack may be.
	maxSmall = 16 << 10
	// maxPacks bounds the number of packs, and so of files.
	maxPacks = 4096
	// maxDead is what replaced objects may take of a pack, beside a quarter of it.
	maxDead = 8 << 10
	// lockTries and lockPause are how long a writer waits for another one.
	lockTries = 100
	lockPause = 2 * time.Millisecond
)

// packsOf is how many packs there are in a cache: together they take half of its space.
func packsOf(maxSize int64) int {
	n := 1
	for n < maxPacks && int64(2*n)*maxPack <= maxSize/2 {
		n *= 2
	}
	return n
}

// packPath is the pack of objects whose place begins with the same bits.
func (c *Cache) packPath(place hash) string {
	i := (int(place[0])<<8 | int(place[1])) * c.packs >> 16
	return filepath.Join(c.dir, "objects", fmt.Sprintf("%d-%03x.pack", c.packs, i))
}

// removeOtherPacks removes the packs of a cache of another size.
func (c *Cache) removeOtherPacks() {
	found, _ := filepath.Glob(filepath.Join(c.dir, "objects", "*-*.pack"))
	for _, path := range found {
		if !strings.HasPrefix(filepath.Base(path), fmt.Sprintf("%d-", c.packs)) {
			_ = os.Remove(path)
		}
	}
}

// pack is what was read of one.
type pack struct {
	text    []byte
	objects []packed // the latest of each kind and key, in the order of the file
	end     int      // of the last object
	dead    int      // bytes of replaced objects
}

type packed struct {
	object

	at int // in the file
}

func (p *packed) text(of *pack) []byte { return of.text[p.at : p.at+p.size()] }

// parsePack finds the objects in a pack. What follows something damaged is lost.
func parsePack(text []byte) *pack {
	p := &pack{text: text}
	type name struct {
		kind kind
		key  hash
	}
	latest := map[name]int{}
	for {
		o, ok := decode(text[p.end:])
		if !ok {
			break
		}
		if i, again := latest[name{o.kind, o.key}]; again {
			p.dead += p.objects[i].size()
			p.objects[i].kind = 0
		}
		latest[name{o.kind, o.key}] = len(p.objects)
		p.objects = append(p.objects, packed{o, p.end})
		p.end += o.size()
	}
	p.objects = slices.DeleteFunc(p.objects, func(o packed) bool { return o.kind == 0 })
	return p
}

// find returns the latest object of a kind with a key, if it is whole, and where it is.
func find(text []byte, kind kind, key hash) (found object, at int, ok bool) {
	for next := 0; ; {
		o, more := decode(text[next:])
		if !more {
			break
		}
		if o.kind == kind && o.key == key {
			found, at, ok = o, next, true
		}
		next += o.size()
	}
	return found, at, ok && found.isWhole(text[at:])
}

// putInPack adds an object to a pack, in the place of an earlier one of its kind and key.
func putInPack(path string, o *object) error {
	f, locked, err := openLocked(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // which unlocks it
	info, err := f.Stat()
	if err != nil {
		return err
	}
	text := make([]byte, min(info.Size(), maxPack))
	if _, err := io.ReadFull(f, text); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	p := parsePack(text)
	now := o.encode()
	for _, old := range p.objects {
		switch {
		case old.kind != o.kind || old.key != o.key:
		case o.kind != listObject && old.isWhole(old.text(p)) && bytes.Equal(old.content, o.content):
			return nil
		default:
			p.dead += old.size()
		}
	}
	isWhole := int64(p.end) == info.Size()
	if locked && isWhole && p.end+len(now) <= maxPack && p.dead <= maxDead+p.end/4 {
		return appendTo(f, p.end, now)
	}
	return p.rewrite(path, o)
}

// appendTo writes all of an object at the end of a pack, or nothing.
func appendTo(f *os.File, end int, text []byte) error {
	if _, err := f.WriteAt(text, int64(end)); err != nil {
		_ = f.Truncate(int64(end))
		return err
	}
	return nil
}

// rewrite writes a pack anew with what is whole of it and another object, and without
// what there is no room for: of a repository with more than its share first, then what
// was not used for longest.
func (p *pack) rewrite(path string, o *object) error {
	files := []*file{{cost: int64(o.size()), of: o.owner}} // it is used now
	texts := map[*file][]byte{files[0]: o.encode()}
	for i := range p.objects {
		old := &p.objects[i]
		text := old.text(p)
		if old.kind == o.kind && old.key == o.key || !old.isWhole(text) {
			continue
		}
		f := &file{cost: int64(old.size()), mod: old.used, of: old.owner}
		texts[f] = text
		files = append(files, f)
	}
	slices.SortStableFunc(files[1:], func(a, b *file) int { return a.mod.Compare(b.mod) })
	files = append(files[1:], files[0])
	beyond(files, maxPack-maxSmall)
	return fsutil.WriteAtomic(path, fsutil.WriteOptions{}, func(w io.Writer) error {
		var all bytes.Buffer
		for _, f := range files {
			if !f.doomed {
				all.Write(texts[f])
			}
		}
		_, err := w.Write(all.Bytes())
		return err
	})
}

// openLocked opens a pack for its only writer, and creates it where needed. Where the
// disk knows no locks, or a writer was stopped while it had this one, locked is false:
// then the file must be replaced, not written to.
func openLocked(path string) (f *os.File, locked bool, err error) {
	for range lockTries {
		if f, err = openPack(path); err != nil {
			return nil, false, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && isAt(f, path) {
			return f, true, nil
		}
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return f, false, nil
		}
		_ = f.Close()
		if err != nil { // otherwise another writer replaced it
			time.Sleep(lockPause)
		}
	}
	f, err = openPack(path)
	return f, false, err
}

// isAt reports whether a file is still the one at a path.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	at, statErr := os.Lstat(path)
	return err == nil && statErr == nil && os.SameFile(mine, at)
}

// openPack opens a regular file. Something else in its place is taken away if it can be.
func openPack(path string) (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | unix.O_NONBLOCK | unix.O_NOFOLLOW
	for range 2 {
		f, err := os.OpenFile(path, flags, 0o600)
		if errors.Is(err, fs.ErrNotExist) { // the folder was removed meanwhile
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return nil, err
			}
			continue
		}
		if err == nil {
			if info, statErr := f.Stat(); statErr == nil && info.Mode().IsRegular() {
				return f, nil
			}
			_ = f.Close()
		} else if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.EISDIR) {
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fsutil.ErrNotRegular}
}
