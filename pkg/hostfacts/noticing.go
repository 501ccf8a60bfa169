package hostfacts

import (
	"errors"
	"io"
)

// noticing forwards everything and keeps the first error that is not about a
// missing file.
type noticing struct {
	Files
	name string
	err  error
}

func (n *noticing) notice(name string, err error) {
	if err != nil && n.err == nil && !isNoAttribute(err) {
		n.name, n.err = name, err
	}
}

func (n *noticing) Open(name string) (File, error) {
	f, err := n.Files.Open(name)
	n.notice(name, err)
	if err != nil {
		return nil, err
	}
	return noticedFile{f, name, n}, nil
}

func (n *noticing) ReadDir(name string) ([]string, error) {
	names, err := n.Files.ReadDir(name)
	n.notice(name, err)
	return names, err
}

func (n *noticing) Readlink(name string) (string, error) {
	link, err := n.Files.Readlink(name)
	n.notice(name, err)
	return link, err
}

func (n *noticing) Stat(name string) error {
	err := n.Files.Stat(name)
	n.notice(name, err)
	return err
}

type noticedFile struct {
	File
	name string
	by   *noticing
}

func (f noticedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if !errors.Is(err, io.EOF) {
		f.by.notice(f.name, err)
	}
	return n, err
}
