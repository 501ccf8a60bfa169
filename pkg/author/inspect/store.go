package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/imagefit/imagefit/internal/textutil"
)

// Store is a folder or an archive with images: an OCI layout, or what docker save writes.
type Store struct {
	open  opener
	close func() error
}

// OpenStore opens a folder or an archive that is not compressed. It reports false for
// what has no images.
func OpenStore(ctx context.Context, name string) (*Store, bool, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, false, err
	}
	if info.IsDir() {
		return openFolder(name)
	}
	if !info.Mode().IsRegular() {
		return nil, false, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, false, err
	}
	members, err := tarMembers(ctx, f)
	s := &Store{close: f.Close, open: func(name string) (fs.File, error) {
		if m, ok := members.find(path.Clean(name)); ok {
			return memberFile{io.NewSectionReader(m, 0, m.Size())}, nil
		}
		return nil, fmt.Errorf("the archive has no %s: %w", textutil.Short(name), fs.ErrNotExist)
	}}
	if ctx.Err() != nil || err != nil || !s.Has("oci-layout") && !s.Has("manifest.json") {
		_ = f.Close()
		return nil, false, ctx.Err()
	}
	return s, true, nil
}

func openFolder(name string) (*Store, bool, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, false, err
	}
	s := &Store{open: root.FS().Open, close: root.Close}
	if !s.Has("oci-layout") {
		_ = root.Close()
		return nil, false, nil
	}
	return s, true, nil
}

// Open opens a file of the store.
func (s *Store) Open(name string) (io.ReadCloser, error) { return s.open(name) }

// Has reports whether the store has a file.
func (s *Store) Has(name string) bool {
	f, err := s.open(name)
	if err == nil {
		_ = f.Close()
	}
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// ReadJSON reads a file of the store of at most 4 MiB into a value.
func (s *Store) ReadJSON(name string, into any) error { return readFile(s.open, name, into) }

// Close closes the store.
func (s *Store) Close() error { return s.close() }
