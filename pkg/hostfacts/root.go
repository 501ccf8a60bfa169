package hostfacts

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
)

const (
	maxFileSize   = 4 << 20
	maxDirEntries = 1 << 16
)

// Root is the one door to a node's file system: proc, sys, etc, boot, usr, lib.
// Names are slash-separated and relative to the root, such as
// "proc/sys/kernel/osrelease". In a root other than the real one, symbolic
// links are resolved inside the root and never lead out of it.
type Root struct {
	dir   string
	files files // nil: those below dir
	// machine says that files, although not the real ones, are those of the
	// machine this process runs on.
	machine bool
	// taken is what a snapshot knows beyond its files.
	taken *taken
}

// File is an open file of a Root.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// files is where a Root has its files: a directory, an archive, a snapshot.
type files interface {
	// open opens a regular file.
	open(name string) (File, error)
	// readDir returns the names in a directory, in any order.
	readDir(name string) ([]string, error)
	// readlink returns the destination of a symbolic link as it is written,
	// and EINVAL for what is no link.
	readlink(name string) (string, error)
	// stat returns nil for what is there, links followed.
	stat(name string) error
}

// NewRoot returns the root at dir. An empty dir, or "/", is the real root of
// the machine this process runs on.
func NewRoot(dir string) Root {
	if dir == "" || filepath.Clean(dir) == "/" {
		return Root{dir: "/"}
	}
	return Root{dir: filepath.Clean(dir), files: dirFiles{dir: filepath.Clean(dir)}}
}

// Dir returns the directory of the root; "/" is the real one.
func (r Root) Dir() string { return cmp.Or(r.dir, "/") }

func (r Root) isReal() bool { return r.files == nil }

func (r Root) where() files {
	if r.files == nil {
		return realFiles{}
	}
	return r.files
}

// Open opens a regular file for reading. It refuses anything else, because
// opening a pipe or a device can block or have effects.
func (r Root) Open(name string) (File, error) {
	f, err := r.where().open(name)
	if err != nil {
		return nil, r.pathError("open", name, err)
	}
	return f, nil
}

// ReadFile reads a whole file of at most 4 MiB.
func (r Root) ReadFile(name string) ([]byte, error) { return r.ReadBounded(name, maxFileSize) }

// ReadBounded reads a whole file of at most limit bytes.
func (r Root) ReadBounded(name string, limit int64) ([]byte, error) {
	data, err := r.ReadHead(name, limit+1)
	if err == nil && int64(len(data)) > limit {
		err = r.pathError("read", name, fmt.Errorf("larger than %d bytes", limit))
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// ReadHead reads at most limit bytes from the start of a file.
func (r Root) ReadHead(name string, limit int64) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var b bytes.Buffer
	if size := min(sizeOf(f), limit); size > smallFile {
		b.Grow(int(size) + bytes.MinRead) // to be read at one go
	}
	if _, err := b.ReadFrom(io.LimitReader(f, limit)); err != nil {
		return nil, r.pathError("read", name, err)
	}
	return b.Bytes(), nil
}

// smallFile is what sysfs gives as the size of every file.
const smallFile = 4096

// sizeOf returns the size of a file as far as it knows one; in proc it does not.
func sizeOf(f File) int64 {
	file, ok := f.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return 0
	}
	info, err := file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// ReadDir returns the names in a directory, sorted.
func (r Root) ReadDir(name string) ([]string, error) {
	names, err := r.where().readDir(name)
	if err != nil {
		return nil, r.pathError("read", name, err)
	}
	slices.Sort(names)
	return names, nil
}

// Readlink returns the destination of a symbolic link, as it is written.
func (r Root) Readlink(name string) (string, error) {
	link, err := r.where().readlink(name)
	if err != nil {
		return "", r.pathError("readlink", name, err)
	}
	return link, nil
}

// Exists reports whether name is there, following symbolic links. An error
// means that nobody can tell.
func (r Root) Exists(name string) (bool, error) {
	err := r.stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (r Root) stat(name string) error {
	if err := r.where().stat(name); err != nil {
		return r.pathError("stat", name, err)
	}
	return nil
}

// pathError names the path as the operator sees it, root included, instead of
// the path within the root that err may carry.
func (r Root) pathError(op, name string, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) && inner.Err != nil {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: r.Path(name), Err: err}
}

// Path returns name as the operator sees it, root included.
func (r Root) Path(name string) string { return filepath.Join(r.Dir(), name) }
