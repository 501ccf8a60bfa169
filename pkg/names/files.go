package names

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	// maxFile bounds a file of Files.
	maxFile = 16 << 10
	suffix  = ".json"
)

// Files is a store of one file per name.
type Files struct {
	Folder string // made when it is needed
	Log    *slog.Logger
}

// Load returns the names in the folder. What cannot be read is logged and left out.
func (f Files) Load(context.Context) ([]Name, error) {
	entries, err := os.ReadDir(f.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Name
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		n, err := f.read(entry.Name())
		if err != nil {
			f.Log.Warn("cannot read the name of an image, the image has to be pulled again by that name", "error", err)
			continue
		}
		all = append(all, n)
	}
	return all, nil
}

func (f Files) read(file string) (n Name, err error) {
	path := filepath.Join(f.Folder, file)
	body, err := fsutil.ReadFile(path, maxFile)
	if err != nil {
		return n, err
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return n, fmt.Errorf("%s: %w", path, err)
	}
	if fileOf(n) != file || n.ImageID == "" {
		return n, fmt.Errorf("%s: it is not the file of a name", path)
	}
	return n, nil
}

// fileOf is the file of a name. References are longer than file names may be.
func fileOf(n Name) string {
	sum := sha256.Sum256([]byte(n.Reference))
	return hex.EncodeToString(sum[:]) + suffix
}

// Has implements [Store].
func (f Files) Has(_ context.Context, n Name) bool {
	saved, err := f.read(fileOf(n))
	return err == nil && saved.same(n)
}

// Save implements [Store].
func (f Files) Save(_ context.Context, n Name) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Folder, 0o700); err != nil {
		return err
	}
	return fsutil.WriteAtomic(filepath.Join(f.Folder, fileOf(n)), fsutil.WriteOptions{Mode: 0o600, Sync: true}, fsutil.Bytes(body))
}

// Delete implements [Store]. Another image may have the name by then, whose file it is.
func (f Files) Delete(_ context.Context, n Name) error {
	if now, err := f.read(fileOf(n)); err == nil && now.ImageID != n.ImageID {
		return nil
	}
	err := os.Remove(filepath.Join(f.Folder, fileOf(n)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
