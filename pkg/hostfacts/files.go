package hostfacts

import (
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
)

const maxSymlinks = 40

// errNotRegular refuses what can block or have effects when it is opened.
func errNotRegular() error { return errors.New("not a regular file") }

// A pipe that has no writer does not block the one who opens it.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// realFiles are the files of the machine this process runs on.
type realFiles struct{}

func (realFiles) open(name string) (File, error) {
	return regular(os.OpenFile("/"+name, openFlags, 0))
}

func (realFiles) readDir(name string) ([]string, error) {
	return listed(os.OpenFile("/"+name, openFlags, 0))
}

func (realFiles) readlink(name string) (string, error) { return os.Readlink("/" + name) }

func (realFiles) stat(name string) error {
	_, err := os.Stat("/" + name)
	return err
}

// dirFiles are the files of a node below a directory: a mounted or copied root.
type dirFiles struct{ dir string }

func (t dirFiles) open(name string) (File, error) { return regular(t.openAny(name)) }

func (t dirFiles) readDir(name string) ([]string, error) { return listed(t.openAny(name)) }

func (t dirFiles) readlink(name string) (string, error) {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	name = path.Clean("/" + name)[1:]
	dir, err := resolve(root.Readlink, path.Dir(name))
	if err != nil {
		return "", err
	}
	return root.Readlink(path.Join(dir, path.Base(name)))
}

func (t dirFiles) stat(name string) error {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	target, err := resolve(root.Readlink, name)
	if err != nil {
		return err
	}
	_, err = root.Stat(target)
	return err
}

func (t dirFiles) openAny(name string) (*os.File, error) {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	target, err := resolve(root.Readlink, name)
	if err != nil {
		return nil, err
	}
	return root.OpenFile(target, openFlags, 0)
}

// regular takes what opening returned, and closes what is no regular file.
func regular(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular()
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// listed takes what opening a directory returned, and closes it.
func listed(f *os.File, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(maxDirEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return names, nil
}

// resolve follows every symbolic link of name as if readlink's root were "/".
// An os.Root alone would refuse absolute links, which a copied or mounted tree
// is full of; it still stands guard when the resolved name is opened. The
// readlink returns EINVAL for what is no link.
func resolve(readlink func(string) (string, error), name string) (string, error) {
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
		target, err := readlink(next)
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
