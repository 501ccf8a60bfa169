package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
)

// ErrMiss is returned for what is not in the cache, or no longer intact.
var ErrMiss = errors.New("not in the cache")

// maxFile bounds what is read of one file, whoever wrote it.
const maxFile = 8 << 20

// Cache is a folder of verified files. Any number of processes may use it at
// the same time.
type Cache struct {
	dir     string
	maxSize int64
	packs   int
	buffers sync.Pool    // for packs that are read
	written atomic.Int64 // what was written since the last sweep
	uses    uses
	onNode  atomic.Pointer[func() ([]string, error)]
}

// Open returns the cache in dir, creating it where needed, with what an earlier version
// kept there. When the files together take more than maxSize bytes of disk, some are
// removed: see Sweep. The cache can be used also when Open returns an error: it then
// has what can be read, and says of each write what is wrong.
func Open(dir string, maxSize int64) (*Cache, error) {
	c := &Cache{dir: dir, maxSize: maxSize, packs: packsOf(maxSize), uses: uses{}}
	for _, kind := range Kinds() {
		c.uses[kind] = &struct{ hits, misses atomic.Uint64 }{}
	}
	for _, folder := range folders() {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return c, fmt.Errorf("create cache folder: %w", err)
		}
	}
	c.removeOtherPacks()
	if err := c.migrate(); err != nil {
		return c, err
	}
	return c, c.Sweep()
}

// folders are those that hold files of the cache. What else is in the state folder
// belongs to others.
func folders() []string { return []string{"objects", "images"} }

// Blob returns the content with this digest, verified, wherever it came from: it
// is for those who had it before, as part of an image they decided about.
func (c *Cache) Blob(d digest.Digest) ([]byte, error) {
	content, _, err := c.blob(d)
	c.uses.note(blobs, err)
	return content, err
}

// blob returns a blob and the repository that it came from first.
func (c *Cache) blob(d digest.Digest) (content []byte, of owner, err error) {
	key, err := blobKey(d)
	if err != nil {
		return nil, of, err
	}
	o, err := c.get(blobObject, key, key)
	if err != nil {
		return nil, of, err
	}
	if d.Algorithm().FromBytes(o.content) != d {
		return nil, of, fmt.Errorf("%s is another blob: %w", d, ErrMiss)
	}
	return o.content, o.owner, nil
}

// Has reports whether there is something under this digest.
func (c *Cache) Has(d digest.Digest) bool {
	_, ok := c.BlobSize(d)
	return ok
}

// BlobSize returns the size of what is under this digest, and false where there is nothing.
func (c *Cache) BlobSize(d digest.Digest) (int64, bool) {
	key, err := blobKey(d)
	if err != nil {
		return 0, false
	}
	o, err := c.get(blobObject, key, key)
	return int64(len(o.content)), err == nil
}

// BlobFrom returns the content with this digest, verified, if it was fetched
// from this repository before. Knowing a digest gives no right to read: another
// tenant's private blob is not to be had by naming it in a repository of one's own.
func (c *Cache) BlobFrom(repository string, d digest.Digest) ([]byte, error) {
	content, of, err := c.blob(d)
	if unknown := of == (owner{}); err == nil && (unknown || of != ownerOf(repository)) {
		place, _ := blobKey(d)
		_, err = c.get(sourceObject, place, sourceKey(repository, d))
	}
	c.uses.note(blobs, err)
	if err != nil {
		return nil, err
	}
	return content, nil
}

// PutBlob keeps content under its digest. Content that does not have that
// digest is refused.
func (c *Cache) PutBlob(d digest.Digest, content []byte) error { return c.putBlob("", d, content) }

// PutBlobFrom keeps content as PutBlob does, as fetched from this repository.
func (c *Cache) PutBlobFrom(repository string, d digest.Digest, content []byte) error {
	_, of, err := c.blob(d)
	if err != nil || of == ownerOf(repository) || d.Algorithm().FromBytes(content) != d {
		return c.putBlob(repository, d, content)
	}
	place, err := blobKey(d)
	if err != nil {
		return err
	}
	return c.put(place, object{kind: sourceObject, key: sourceKey(repository, d), owner: ownerOf(repository)})
}

func (c *Cache) putBlob(repository string, d digest.Digest, content []byte) error {
	key, err := blobKey(d)
	if err != nil {
		return err
	}
	if d.Algorithm().FromBytes(content) != d {
		return fmt.Errorf("write blob %s: the content has another digest", d)
	}
	return c.put(key, object{kind: blobObject, key: key, owner: ownerOf(repository), content: content})
}

// blobKey is the digest itself.
func blobKey(d digest.Digest) (key hash, err error) {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return key, fmt.Errorf("digest %q is not a sha256 digest", d)
	}
	_, err = hex.Decode(key[:], []byte(d.Encoded()))
	return key, err
}

func sourceKey(repository string, d digest.Digest) hash {
	return sha256.Sum256([]byte(repository + "@" + d.String()))
}

// Referrers reads the list kept under key into v and returns when it was
// written.
func (c *Cache) Referrers(key string, v any) (at time.Time, err error) {
	defer func() { c.uses.note(referrers, err) }()
	sum := sha256.Sum256([]byte(key))
	o, err := c.get(listObject, sum, sum)
	if err != nil {
		return time.Time{}, err
	}
	if json.Unmarshal(o.content, v) != nil {
		return time.Time{}, fmt.Errorf("the list of %s has another form: %w", key, ErrMiss)
	}
	return o.written, nil
}

// PutReferrers keeps a list of referrers under key, which begins with its repository.
func (c *Cache) PutReferrers(key string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the list of %s: %w", key, err)
	}
	repository, _, _ := strings.Cut(key, "@")
	sum := sha256.Sum256([]byte(key))
	return c.put(sum, object{kind: listObject, key: sum, owner: ownerOf(repository), content: content})
}
