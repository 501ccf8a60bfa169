package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// used is how precisely the last use of something is kept, to save writes.
const used = time.Minute

// get returns an object, verified. place says which pack it is in.
func (c *Cache) get(kind kind, place, key hash) (object, error) {
	small, err := c.readFrom(c.packPath(place), maxPack, kind, key)
	if kind == sourceObject || kind == blobObject && err == nil || err != nil && !errors.Is(err, ErrMiss) {
		return small, err
	}
	large, errLarge := c.readFrom(c.onePath(kind, key), headerSize+maxFile, kind, key)
	if err == nil && (errLarge != nil || small.written.After(large.written)) {
		return small, err // a list that became smaller, or larger
	}
	return large, errLarge
}

// onePath is the file of a large object.
func (c *Cache) onePath(kind kind, key hash) string {
	sum := sha256.Sum256(append([]byte{byte(kind)}, key[:]...))
	return filepath.Join(c.dir, "objects", hex.EncodeToString(sum[:])+".one")
}

// readFrom looks for an object in a file of at most limit bytes, and notes that it is
// used. What is damaged is a miss, and written anew with the next write.
func (c *Cache) readFrom(path string, limit int, kind kind, key hash) (object, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) {
		f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return object{}, ErrMiss
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		_ = os.Remove(path)
		return object{}, fmt.Errorf("%w: %w", ErrMiss, err)
	case err != nil:
		return object{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return object{}, err
	}
	if !info.Mode().IsRegular() {
		_ = os.Remove(path)
		return object{}, fmt.Errorf("%w: %w", ErrMiss, &fs.PathError{Op: "read", Path: path, Err: fsutil.ErrNotRegular})
	}
	size := min(int64(limit), info.Size())
	var text []byte
	if size <= maxPack {
		buffer, ok := c.buffers.Get().(*[maxPack]byte)
		if !ok { // there is none
			buffer = new([maxPack]byte)
		}
		defer c.buffers.Put(buffer)
		text = buffer[:size]
	} else {
		text = make([]byte, size)
	}
	n, err := io.ReadFull(f, text)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return object{}, fmt.Errorf("read %s: %w", path, err)
	}
	o, at, ok := find(text[:n], kind, key)
	if !ok {
		return object{}, ErrMiss
	}
	if now := time.Now(); now.Sub(o.used).Abs() > used {
		_, _ = f.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(now.Unix())), int64(at+usedAt)) //nolint:gosec // the sign does not matter
	}
	if size <= maxPack { // the buffer is used again
		o.content = append([]byte{}, o.content...)
	}
	return o, nil
}

// put keeps an object, be it small or large, in the place of an earlier one.
func (c *Cache) put(place hash, o object) error {
	path := c.onePath(o.kind, o.key)
	if len(o.content) > maxFile {
		return fmt.Errorf("write %s: %d bytes are over the limit of %d", path, len(o.content), maxFile)
	}
	o.used = time.Now()
	if o.written.IsZero() {
		o.written = o.used
	}
	if len(o.content) > maxSmall {
		return c.write(path, o.encode(), false)
	}
	if err := putInPack(c.packPath(place), &o); err != nil {
		return fmt.Errorf("write cache file: %w", err)
	}
	if o.kind == listObject {
		_ = os.Remove(path)
	}
	return c.wrote(int64(o.size()))
}

// write puts content at path in one step, so that no reader ever sees half of
// it. Durable content survives a power cut; of other content such a cut may leave
// half, which the next reader notices and fetches again: a pull does not wait for
// the disk.
func (c *Cache) write(path string, content []byte, durable bool) error {
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
	return c.wrote(cost(int64(len(content))))
}

// wrote sweeps when much was written since the last time.
func (c *Cache) wrote(size int64) error {
	if c.written.Add(size) > c.maxSize/16 {
		return c.Sweep()
	}
	return nil
}
