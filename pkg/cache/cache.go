package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/fsutil"
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
	written atomic.Int64 // what was written since the last sweep, by cost
	uses    uses
	onNode  atomic.Pointer[func() ([]string, error)]
}

// Open returns the cache in dir, creating it where needed. When the files together take
// more than maxSize bytes of disk, some are removed: see Sweep. The cache can be used also when Open returns an error: it then holds what can be
// read, and says of each write what is wrong.
func Open(dir string, maxSize int64) (*Cache, error) {
	c := &Cache{dir: dir, maxSize: maxSize, uses: uses{}}
	for _, kind := range Kinds() {
		c.uses[kind] = &struct{ hits, misses atomic.Uint64 }{}
	}
	for _, folder := range folders() {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return c, fmt.Errorf("create cache folder: %w", err)
		}
	}
	return c, c.Sweep()
}

// folders are those that hold files of the cache. What else is in the state folder
// belongs to others.
func folders() []string { return []string{"blobs/sha256", "sources", "referrers", "images"} }

// Blob returns the content with this digest, verified, wherever it came from: it
// is for those who had it before, as part of an image they decided about.
func (c *Cache) Blob(d digest.Digest) (content []byte, err error) {
	defer func() { c.uses.note(blobs, err) }()
	path, err := c.blobPath(d)
	if err != nil {
		return nil, err
	}
	content, err = read(path)
	if err != nil {
		return nil, err
	}
	if d.Algorithm().FromBytes(content) != d {
		_ = os.Remove(path) // damaged: the next reader fetches it again
		return nil, fmt.Errorf("%s is damaged: %w", path, ErrMiss)
	}
	c.touch(path)
	return content, nil
}

// Has reports whether there is something under this digest. It may be damaged.
func (c *Cache) Has(d digest.Digest) bool {
	_, ok := c.BlobSize(d)
	return ok
}

// BlobSize returns the size of what is under this digest, which may be damaged, and
// false where there is nothing.
func (c *Cache) BlobSize(d digest.Digest) (int64, bool) {
	path, err := c.blobPath(d)
	if err != nil {
		return 0, false
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	return info.Size(), true
}

// PutBlob keeps content under its digest. Content that does not have that
// digest is refused. What decisions that are kept refer to must be durable like
// them; other content need not be.
func (c *Cache) PutBlob(d digest.Digest, content []byte, durable bool) error {
	path, err := c.blobPath(d)
	if err != nil {
		return err
	}
	if d.Algorithm().FromBytes(content) != d {
		return fmt.Errorf("write blob %s: the content has another digest", d)
	}
	return c.write(path, content, durable)
}

func (c *Cache) blobPath(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return "", fmt.Errorf("digest %q is not a sha256 digest", d)
	}
	return filepath.Join(c.dir, "blobs", "sha256", d.Encoded()), nil
}

// Referrers reads the list kept under key into v and returns when it was
// written.
func (c *Cache) Referrers(key string, v any) (time.Time, error) {
	at, err := c.document(c.referrersPath(key), v)
	c.uses.note(referrers, err)
	return at, err
}

// PutReferrers keeps a list of referrers under key.
func (c *Cache) PutReferrers(key string, v any) error {
	repository, _, _ := strings.Cut(key, "@")
	return c.putDocument(c.referrersPath(key), v, envelope{Of: repository}, false)
}

func (c *Cache) referrersPath(key string) string {
	return filepath.Join(c.dir, "referrers", digest.FromString(key).Encoded()+".json")
}

// Image reads what was decided about the image with this id into v.
func (c *Cache) Image(id string, v any) error {
	path, err := c.imagePath(id)
	if err != nil {
		return err
	}
	_, err = c.document(path, v)
	c.uses.note(images, err)
	return err
}

// PutImage keeps what was decided about the image with this id.
func (c *Cache) PutImage(id string, v any) error { return c.PutImageOf("", id, v) }

// PutImageOf is PutImage for an image of a repository, and keeps the blobs that the
// decision rests on for as long.
func (c *Cache) PutImageOf(repository, id string, v any, needs ...digest.Digest) error {
	path, err := c.imagePath(id)
	if err != nil {
		return err
	}
	return c.putDocument(path, v, envelope{Of: repository, Needs: needs}, true)
}

// imagePath accepts any spelling a runtime uses for image ids; only the hash of
// another spelling ever becomes part of a path.
func (c *Cache) imagePath(id string) (string, error) {
	if id == "" {
		return "", errors.New("the image id is empty")
	}
	return filepath.Join(c.dir, "images", strings.TrimPrefix(ImageKey(id), "sha256:")+".json"), nil
}

// envelope guards a document against damage: Sum is the digest of Time and Body. The
// others say to a sweep whose the document is and which blobs it needs.
type envelope struct {
	Time  time.Time       `json:"time"`
	Sum   digest.Digest   `json:"sum"`
	Of    string          `json:"of,omitempty"` // a repository
	Needs []digest.Digest `json:"needs,omitempty"`
	Body  json.RawMessage `json:"body"`
}

func (e envelope) sum() digest.Digest {
	return digest.FromString(e.Time.UTC().Format(time.RFC3339Nano) + "\n" + string(e.Body))
}

func (c *Cache) document(path string, v any) (time.Time, error) {
	content, err := read(path)
	if err != nil {
		return time.Time{}, err
	}
	var e envelope
	if json.Unmarshal(content, &e) != nil || e.sum() != e.Sum || json.Unmarshal(e.Body, v) != nil {
		_ = os.Remove(path)
		return time.Time{}, fmt.Errorf("%s is damaged: %w", path, ErrMiss)
	}
	c.touch(path)
	return e.Time, nil
}

func (c *Cache) putDocument(path string, v any, e envelope, durable bool) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	e.Time, e.Body = time.Now().UTC(), body
	e.Sum = e.sum()
	content, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return c.write(path, content, durable)
}

// read reads a file that should be one of ours. Something else in its place is
// taken away if it can be; a pipe must not hold up a pull.
func read(path string) ([]byte, error) {
	content, err := fsutil.ReadFile(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrMiss
	case errors.Is(err, fsutil.ErrNotRegular):
		_ = os.Remove(path)
		return nil, fmt.Errorf("%w: %w", ErrMiss, err)
	case errors.Is(err, fsutil.ErrTooLarge):
		return nil, fmt.Errorf("%w: %w", ErrMiss, err)
	}
	return content, err
}
