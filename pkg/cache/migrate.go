package cache

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// maxTakenOver bounds how many files of a kind, which all can be fetched again, a start
// takes over. Meanwhile the runtime's clients wait.
const maxTakenOver = 4096

// migrate takes over what earlier versions kept, one object in a file each:
//
//	blobs/sha256/<hex>    blobs
//	sources/<hex>         repository@digest, by the hash of that
//	referrers/<hex>.json  lists, as decisions are written, by the hash of their key
//
// and removes those files, of which decisions rest on the first. Decisions are all taken
// over, of the rest maxTakenOver of each kind. Where it is interrupted or another process
// writes such files, the next start continues.
func (c *Cache) migrate() error {
	old := func(name string) string { return filepath.Join(c.dir, name) }
	if _, err := os.Lstat(old("blobs/sha256")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := c.migrateDecisions(); err != nil {
		return fmt.Errorf("take over decisions of an earlier version: %w", err)
	}
	for _, step := range []struct {
		folder string
		take   func(key hash, content []byte) error
	}{
		{"blobs/sha256", func(key hash, content []byte) error {
			d := digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(key[:]))
			if digest.FromBytes(content) != d {
				return nil
			}
			return c.PutBlob(d, content)
		}},
		{"sources", c.migrateSource},
		{"referrers", c.migrateList},
	} {
		if err := takeOver(old(step.folder), step.take); err != nil {
			return fmt.Errorf("take over files of an earlier version: %w", err)
		}
	}
	_ = os.Remove(old("blobs"))
	return nil
}

// takeOver passes files that are named by a hash on and removes them, then the folder. What
// is damaged or one too many is lost: it is fetched again.
func takeOver(folder string, take func(key hash, content []byte) error) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	left := maxTakenOver
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		var key hash
		name := strings.TrimSuffix(entry.Name(), ".json")
		_, err := hex.Decode(key[:], []byte(name[:min(len(name), 2*len(key))]))
		isObject := err == nil && len(name) == 2*len(key)
		if !entry.Type().IsRegular() || !isObject && !strings.HasPrefix(name, fsutil.TempPrefix) {
			continue
		}
		if isObject && left > 0 {
			left--
			if content, err := fsutil.ReadFile(path, maxFile); err == nil {
				if err := take(key, content); err != nil {
					return err
				}
			}
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(folder) // unless others have something in it
	return nil
}

func (c *Cache) migrateSource(key hash, content []byte) error {
	repository, d, _ := strings.Cut(strings.TrimSpace(string(content)), "@")
	place, err := blobKey(digest.Digest(d))
	if err != nil || sourceKey(repository, digest.Digest(d)) != key {
		return nil //nolint:nilerr // it is damaged
	}
	return c.put(place, object{kind: sourceObject, key: key, owner: ownerOf(repository)})
}

func (c *Cache) migrateList(key hash, content []byte) error {
	var e envelope
	if json.Unmarshal(content, &e) != nil || !e.isWhole() {
		return nil //nolint:nilerr // it is damaged
	}
	return c.put(key, object{kind: listObject, key: key, owner: ownerOf(e.Of), written: e.Time, content: e.Body})
}

// migrateDecisions puts the bodies that decisions rest on beside them.
func (c *Cache) migrateDecisions() error {
	keys, err := c.Images()
	if err != nil {
		return err
	}
	for _, key := range keys {
		path, err := c.imagePath(key)
		if err != nil {
			return err
		}
		content, err := fsutil.ReadFile(path, maxFile)
		var needs struct {
			Needs []digest.Digest `json:"needs"`
		}
		var e envelope
		if err != nil || json.Unmarshal(content, &needs) != nil || len(needs.Needs) == 0 || json.Unmarshal(content, &e) != nil || !e.isWhole() {
			continue
		}
		e.Bodies = bodies(needs.Needs, c.earlierBlob)
		used := time.Now()
		if info, err := os.Stat(path); err == nil {
			used = info.ModTime()
		}
		if err := c.putDecision(path, e); err != nil {
			return err
		}
		_ = os.Chtimes(path, used, used)
	}
	return nil
}

// earlierBlob reads a blob from the file that an earlier version kept it in, or where an
// interrupted start put it.
func (c *Cache) earlierBlob(d digest.Digest) ([]byte, error) {
	if _, err := blobKey(d); err != nil {
		return nil, err
	}
	content, err := fsutil.ReadFile(filepath.Join(c.dir, "blobs", "sha256", d.Encoded()), maxFile)
	if err == nil && digest.FromBytes(content) == d {
		return content, nil
	}
	return c.Blob(d)
}
