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

// ErrNotRegular refuses what can block or have effects when it is opened.
var ErrNotRegular = errors.New("not a regular file")

// A pipe that has no writer does not block the one who opens it.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// realFiles are the files of the machine this process runs on.
type realFiles struct{}

func (realFiles) Open(name string) (File, error) {
	return regular(os.OpenFile("/"+name, openFlags, 0))
}

func (realFiles) ReadDir(name string) ([]string, error) {
	return listed(os.OpenFile("/"+name, openFlags, 0))
}

func (realFiles) Readlink(name string) (string, error) { return os.Readlink("/" + name) }

func (realFiles) Stat(name string) error {
	_, err := os.Stat("/" + name)
	return err
}

// dirFiles are the files of a node below a directory: a mounted or copied root.
type dirFiles struct{ dir string }

func (t dirFiles) Open(name string) (File, error) { return regular(t.openAny(name)) }

func (t dirFiles) ReadDir(name string) ([]string, error) { return listed(t.openAny(name)) }

func (t dirFiles) Readlink(name string) (link string, err error) {
	name = path.Clean("/" + name)[1:]
	err = t.resolved(path.Dir(name), func(root *os.Root, dir string) (err error) {
		link, err = root.Readlink(path.Join(dir, path.Base(name)))
		return err
	})
	return link, err
}

func (t dirFiles) Stat(name string) error {
	return t.resolved(name, func(root *os.Root, target string) error {
		_, err := root.Stat(target)
		return err
	})
}

func (t dirFiles) openAny(name string) (f *os.File, err error) {
	err = t.resolved(name, func(root *os.Root, target string) (err error) {
		f, err = root.OpenFile(target, openFlags, 0)
		return err
	})
	return f, err
}

// resolved calls do with the name of what the symbolic links of name lead to.
func (t dirFiles) resolved(name string, do func(root *os.Root, target string) error) error {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	target, err := ResolveLinks(root.Readlink, name)
	if err != nil {
		return err
	}
	return do(root, target)
}

// regular takes what opening returned, and closes anything but a regular file.
func regular(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
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

// ResolveLinks follows every symbolic link of name as if readlink's root were
// "/". An os.Root alone would refuse absolute links, which a copied or mounted
// tree is full of; it still guards the opening of the resolved name. The readlink
// returns EINVAL for anything but a link.
func ResolveLinks(readlink func(string) (string, error), name string) (string, error) {
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
