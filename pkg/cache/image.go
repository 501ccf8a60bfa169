package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// maxBodies bounds the blobs that are kept with one decision.
const maxBodies = 1 << 20

// Bodies are blobs that a decision rests on, kept with it. Those that were too large are
// nil.
type Bodies map[digest.Digest][]byte

// Image reads what was decided about the image with this id into v.
func (c *Cache) Image(id string, v any) error {
	_, err := c.ImageWithBodies(id, v)
	return err
}

// ImageWithBodies is Image, and returns the bodies that are kept with the decision.
func (c *Cache) ImageWithBodies(id string, v any) (bodies Bodies, err error) {
	path, err := c.imagePath(id)
	if err != nil {
		return nil, err
	}
	e, err := readDecision(path)
	if err == nil && json.Unmarshal(e.Body, v) != nil {
		_ = os.Remove(path)
		err = fmt.Errorf("%s has another form: %w", path, ErrMiss)
	}
	c.uses.note(images, err)
	if err != nil {
		return nil, err
	}
	touch(path)
	return e.Bodies, nil
}

// PutImage keeps what was decided about the image with this id.
func (c *Cache) PutImage(id string, v any) error { return c.PutImageOf("", id, v) }

// PutImageOf is PutImage for an image of a repository, and keeps a copy of the blobs that
// the decision rests on with it.
func (c *Cache) PutImageOf(repository, id string, v any, needs ...digest.Digest) error {
	path, err := c.imagePath(id)
	if err != nil {
		return err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	e := envelope{Time: time.Now().UTC(), Of: repository, Bodies: bodies(needs, c.Blob), Body: body}
	return c.putDecision(path, e)
}

// bodies reads what a decision needs, as far as it is there and there is room for it.
func bodies(needs []digest.Digest, read func(digest.Digest) ([]byte, error)) Bodies {
	found, left := Bodies{}, maxBodies
	for _, d := range needs {
		content, err := read(d)
		switch {
		case err != nil:
			continue
		case len(content) > left:
			content = nil
		}
		left -= len(content)
		found[d] = content
	}
	return found
}

func (c *Cache) putDecision(path string, e envelope) error {
	e.Sum = e.sum()
	content, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if len(content) > maxFile {
		return fmt.Errorf("write %s: %d bytes are over the limit of %d", path, len(content), maxFile)
	}
	return c.write(path, content, true)
}

// imagePath accepts any spelling a runtime uses for image ids; only the hash of
// another spelling ever becomes part of a path.
func (c *Cache) imagePath(id string) (string, error) {
	if id == "" {
		return "", errors.New("the image id is empty")
	}
	return filepath.Join(c.dir, "images", strings.TrimPrefix(ImageKey(id), "sha256:")+".json"), nil
}

// envelope guards a decision against damage: Sum is the digest of Time, Body and the
// digests of Bodies. Of says to a sweep whose it is.
type envelope struct {
	Time   time.Time       `json:"time"`
	Sum    digest.Digest   `json:"sum"`
	Of     string          `json:"of,omitempty"` // a repository
	Bodies Bodies          `json:"bodies,omitempty"`
	Body   json.RawMessage `json:"body"`
}

func (e envelope) sum() digest.Digest {
	parts := []string{e.Time.UTC().Format(time.RFC3339Nano), string(e.Body)}
	for _, d := range slices.Sorted(maps.Keys(e.Bodies)) {
		parts = append(parts, d.String())
	}
	return digest.FromString(strings.Join(parts, "\n"))
}

// isWhole verifies a decision with its bodies.
func (e envelope) isWhole() bool {
	for d, body := range e.Bodies {
		if body != nil && digest.FromBytes(body) != d {
			return false
		}
	}
	return e.sum() == e.Sum
}

// readDecision reads a decision. Something else in its place is taken away if it can be;
// a pipe must not hold up a pull.
func readDecision(path string) (e envelope, err error) {
	content, err := fsutil.ReadFile(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e, ErrMiss
	case errors.Is(err, fsutil.ErrNotRegular):
		_ = os.Remove(path)
		return e, fmt.Errorf("%w: %w", ErrMiss, err)
	case errors.Is(err, fsutil.ErrTooLarge):
		return e, fmt.Errorf("%w: %w", ErrMiss, err)
	case err != nil:
		return e, err
	}
	if json.Unmarshal(content, &e) != nil || !e.isWhole() {
		_ = os.Remove(path)
		return envelope{}, fmt.Errorf("%s is damaged: %w", path, ErrMiss)
	}
	return e, nil
}

// touch notes that a file is in use. One from the future, after the clock was set
// back, must not outlive all that is used from now on.
func touch(path string) {
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()).Abs() > used {
		now := time.Now()
		_ = os.Chtimes(path, now, now)
	}
}
