package snapshot

import (
	"cmp"
	"errors"
	"io"
	"path"
	"slices"
	"syscall"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// replay answers as the node did when the snapshot was taken. What was not
// looked for then neither exists nor is missing: the answer is an error, and so
// the fact unknown.
type replay struct {
	content hostfacts.Files
	index   *index
	missing map[string]struct{}
	there   map[string]struct{}
}

func newReplay(content hostfacts.Files, index *index) replay {
	r := replay{content: content, index: index, missing: map[string]struct{}{}, there: map[string]struct{}{}}
	for _, name := range index.Missing {
		r.missing[clean(name)] = struct{}{}
	}
	for _, name := range index.There {
		r.there[clean(name)] = struct{}{}
	}
	return r
}

func (r replay) Open(name string) (hostfacts.File, error) {
	name = clean(name)
	if err := r.failed(opOpen, name); err != nil {
		return nil, err
	}
	f, err := r.content.Open(name)
	if err != nil {
		if _, isDir := r.index.Dirs[name]; isDir {
			return nil, hostfacts.ErrNotRegular
		}
		return nil, r.nothing(name)
	}
	return replayedFile{File: f, end: cmp.Or(r.failed(opRead, name), io.EOF)}, nil
}

func (r replay) ReadDir(name string) ([]string, error) {
	name = clean(name)
	if err := r.failed(opList, name); err != nil {
		return nil, err
	}
	names, ok := r.index.Dirs[name]
	if !ok {
		return nil, r.nothing(name)
	}
	return slices.Clone(names), nil
}

func (r replay) Readlink(name string) (string, error) {
	name = clean(name)
	if err := r.failed(opLink, name); err != nil {
		return "", err
	}
	link, ok := r.index.Links[name]
	if !ok {
		return "", r.nothing(name)
	}
	return link, nil
}

func (r replay) Stat(name string) error {
	name = clean(name)
	if err := r.failed(opStat, name); err != nil {
		return err
	}
	_, there := r.there[name]
	_, isDir := r.index.Dirs[name]
	if there || isDir || r.content.Stat(name) == nil {
		return nil
	}
	return r.nothing(name)
}

// failed returns the error that the operation had, or nil.
func (r replay) failed(op, name string) error {
	text, failed := r.index.Errors[op][name]
	errno, known := errnos()[text]
	switch {
	case !failed:
		return nil
	case known:
		return errno
	default:
		return errors.New(text)
	}
}

// nothing distinguishes a name that was missing from one that was not looked for.
func (r replay) nothing(name string) error {
	for ; name != "."; name = path.Dir(name) {
		if _, missing := r.missing[name]; missing {
			return syscall.ENOENT
		}
		if names, listed := r.index.Dirs[path.Dir(name)]; listed && !slices.Contains(names, path.Base(name)) {
			return syscall.ENOENT
		}
	}
	return errors.New("not in the snapshot")
}

// replayedFile has the error at its end that the node's had.
type replayedFile struct {
	hostfacts.File
	end error
}

func (f replayedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if errors.Is(err, io.EOF) {
		err = f.end
	}
	return n, err
}

func (f replayedFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.File.ReadAt(p, offset)
	if errors.Is(err, io.EOF) {
		err = f.end
	}
	return n, err
}
