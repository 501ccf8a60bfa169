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
	"time"

	"github.com/imagefit/imagefit/pkg/facts"
)

const (
	maxFileSize   = 4 << 20
	maxDirEntries = 1 << 16
)

// Root is the one way to a node's file system: proc, sys, etc, boot, usr, lib.
// Names are slash-separated and relative to the root, such as
// "proc/sys/kernel/osrelease". In a root other than the real one, symbolic
// links are resolved inside the root and never lead out of it.
type Root struct {
	dir   string
	files Files // nil: the real ones
	// machine is true when files, although not the real ones, are those of the
	// machine this process runs on.
	machine  bool
	recorded *Recorded
}

// File is an open file of a Root.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// Files is where a Root has its files: a directory, an archive, a snapshot.
type Files interface {
	// Open opens a regular file, and returns ErrNotRegular for anything else.
	Open(name string) (File, error)
	// ReadDir returns the names in a directory, in any order.
	ReadDir(name string) ([]string, error)
	// Readlink returns the destination of a symbolic link as it is written,
	// and EINVAL for anything else.
	Readlink(name string) (string, error)
	// Stat returns nil for what exists, links followed.
	Stat(name string) error
}

// Recorded is what a snapshot knows beyond its files.
type Recorded struct {
	Time time.Time // when it was taken: what had expired by then has
	Arch string
	// Sets are those that the machine knew better than from its files; Features
	// has them.
	Sets     []string
	Features facts.Features
}

// NewRoot returns the root at dir. An empty dir, or "/", is the real root of
// the machine this process runs on.
func NewRoot(dir string) Root {
	if dir == "" || filepath.Clean(dir) == "/" {
		return Root{dir: "/"}
	}
	return Root{dir: filepath.Clean(dir), files: dirFiles{dir: filepath.Clean(dir)}}
}

// NewVirtualRoot returns a root with these files. Causes name them as if they
// were below dir. Recorded may be nil.
func NewVirtualRoot(dir string, files Files, recorded *Recorded) Root {
	return Root{dir: dir, files: files, recorded: recorded}
}

// WithFiles returns the root of the same machine with other files.
func (r Root) WithFiles(dir string, files Files) Root {
	return Root{dir: dir, files: files, machine: r.isLive(), recorded: r.recorded}
}

// Dir returns the directory of the root; "/" is the real one.
func (r Root) Dir() string { return cmp.Or(r.dir, "/") }

// IsReal reports whether the root is that of the machine this process runs on.
func (r Root) IsReal() bool { return r.files == nil }

// Files returns where the root has its files.
func (r Root) Files() Files {
	if r.files == nil {
		return realFiles{}
	}
	return r.files
}

// BootIDFile has another content on every boot of every machine.
const BootIDFile = "proc/sys/kernel/random/boot_id"

// isLive reports whether root shows the machine this process runs on. In a
// container the machine's tree is often mounted elsewhere, such as /host; the
// boot id proves that it is the same machine.
func (r Root) isLive() bool {
	if r.IsReal() || r.machine {
		return true
	}
	if r.recorded != nil {
		return false
	}
	theirs, err := r.ReadFile(BootIDFile)
	if err != nil || len(theirs) == 0 {
		return false
	}
	ours, err := NewRoot("/").ReadFile(BootIDFile)
	return err == nil && string(ours) == string(theirs)
}

// Open opens a regular file for reading. It refuses anything else, because
// opening a pipe or a device can block or have effects.
func (r Root) Open(name string) (File, error) {
	f, err := r.Files().Open(name)
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
	if int64(len(data)) > limit {
		return nil, r.pathError("read", name, fmt.Errorf("larger than %d bytes", limit))
	}
	return data, err
}

// ReadHead reads at most limit bytes from the start of a file. It does not read by
// fsutil, for the files of a snapshot are in memory and those of proc have no size.
func (r Root) ReadHead(name string, limit int64) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var b bytes.Buffer
	if file, ok := f.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := file.Stat(); err == nil && info.Size() > smallFile { // in proc, files do not know their size
			b.Grow(int(min(info.Size(), limit)) + bytes.MinRead) // to be read in one go
		}
	}
	if _, err := b.ReadFrom(io.LimitReader(f, limit)); err != nil {
		return nil, r.pathError("read", name, err)
	}
	return b.Bytes(), nil
}

// smallFile is what sysfs gives as the size of every file.
const smallFile = 4096

// ReadDir returns the names in a directory, sorted.
func (r Root) ReadDir(name string) ([]string, error) {
	names, err := r.Files().ReadDir(name)
	if err != nil {
		return nil, r.pathError("read", name, err)
	}
	slices.Sort(names)
	return names, nil
}

// Readlink returns the destination of a symbolic link, as it is written.
func (r Root) Readlink(name string) (string, error) {
	link, err := r.Files().Readlink(name)
	if err != nil {
		return "", r.pathError("readlink", name, err)
	}
	return link, nil
}

// Exists reports whether name is there, following symbolic links. An error
// means that it cannot be known.
func (r Root) Exists(name string) (bool, error) {
	err := r.stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (r Root) stat(name string) error {
	if err := r.Files().Stat(name); err != nil {
		return r.pathError("stat", name, err)
	}
	return nil
}

// pathError names the path as the operator sees it, root included, instead of
// the path within the root that err may carry.
func (r Root) pathError(op, name string, err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok && inner.Err != nil {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: r.Path(name), Err: err}
}

// Path returns name as the operator sees it, root included.
func (r Root) Path(name string) string { return filepath.Join(r.Dir(), name) }
