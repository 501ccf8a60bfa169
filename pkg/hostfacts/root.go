package hostfacts

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	maxFileSize   = 4 << 20
	maxDirEntries = 1 << 16
	maxSymlinks   = 40
)

// Root is the one door to a node's file system: proc, sys, etc, boot, usr, lib.
// Names are slash-separated and relative to the root, such as
// "proc/sys/kernel/osrelease". In a root other than the real one, symbolic
// links are resolved inside the root and never lead out of it.
type Root struct {
	dir string
}

// NewRoot returns the root at dir. An empty dir, or "/", is the real root of
// the machine this process runs on.
func NewRoot(dir string) Root {
	if dir == "" || filepath.Clean(dir) == "/" {
		return Root{dir: "/"}
	}
	return Root{dir: filepath.Clean(dir)}
}

// Dir returns the directory of the root; "/" is the real one.
func (r Root) Dir() string { return cmp.Or(r.dir, "/") }

func (r Root) isReal() bool { return r.Dir() == "/" }

// Open opens a regular file for reading. It refuses anything else, because
// opening a pipe or a device can block or have effects.
func (r Root) Open(name string) (*os.File, error) {
	f, err := r.open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = r.pathError("open", name, errors.New("not a regular file"))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// ReadFile reads a whole file of at most 4 MiB.
func (r Root) ReadFile(name string) ([]byte, error) {
	data, err := r.ReadHead(name, maxFileSize+1)
	if err == nil && len(data) > maxFileSize {
		err = r.pathError("read", name, fmt.Errorf("larger than %d bytes", maxFileSize))
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
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, r.pathError("read", name, err)
	}
	return data, nil
}

// ReadDir returns the names in a directory, sorted.
func (r Root) ReadDir(name string) ([]string, error) {
	f, err := r.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxDirEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, r.pathError("read", name, err)
	}
	slices.Sort(names)
	return names, nil
}

// Readlink returns the destination of a symbolic link, as it is written.
func (r Root) Readlink(name string) (string, error) {
	if r.isReal() {
		return os.Readlink("/" + name)
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	dir, err := resolve(root, path.Dir(name))
	if err != nil {
		return "", r.pathError("readlink", name, err)
	}
	link, err := root.Readlink(path.Join(dir, path.Base(name)))
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
	if r.isReal() {
		_, err := os.Stat("/" + name)
		return err
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	target, err := resolve(root, name)
	if err != nil {
		return r.pathError("stat", name, err)
	}
	if _, err := root.Stat(target); err != nil {
		return r.pathError("stat", name, err)
	}
	return nil
}

// open does not block on a pipe that has no writer.
func (r Root) open(name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if r.isReal() {
		return os.OpenFile("/"+name, flags, 0)
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	target, err := resolve(root, name)
	if err != nil {
		return nil, r.pathError("open", name, err)
	}
	f, err := root.OpenFile(target, flags, 0)
	if err != nil {
		return nil, r.pathError("open", name, err)
	}
	return f, nil
}

// pathError names the path as the operator sees it, root included, instead of
// the path within the root that err may carry.
func (r Root) pathError(op, name string, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) && inner.Err != nil {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: r.display(name), Err: err}
}

// resolve follows every symbolic link of name as if root were "/". An os.Root
// alone would refuse absolute links, which a copied or mounted tree is full of;
// it still stands guard when the resolved name is opened.
func resolve(root *os.Root, name string) (string, error) {
	done, rest := ".", strings.Split(path.Clean("/" + name)[1:], "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			done = path.Dir(done) // the parent of "." is "."
			continue
		}
		next := path.Join(done, part)
		target, err := root.Readlink(next)
		if errors.Is(err, syscall.EINVAL) { // not a link
			done = next
			continue
		}
		if err != nil {
			return "", err
		}
		if links++; links > maxSymlinks {
			return "", errors.New("too many levels of symbolic links")
		}
		if path.IsAbs(target) {
			done = "."
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

// causeOf says in one line why something could not be read, in a form an
// operator can act on: "permission denied reading /proc/config.gz".
func causeOf(err error) string {
	var pathErr *fs.PathError
	if !errors.As(err, &pathErr) || pathErr.Err == nil {
		return err.Error()
	}
	return fmt.Sprintf("%s reading %s", pathErr.Err, pathErr.Path)
}

// display returns name as the operator sees it, root included.
func (r Root) display(name string) string { return filepath.Join(r.Dir(), name) }
