package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// maxRecorded bounds what is recorded of one file.
const maxRecorded = 16 << 20

// The operations on files whose errors are recorded.
const (
	opOpen = "open"
	opRead = "read"
	opList = "list"
	opLink = "link"
	opStat = "stat"
)

// recording forwards everything and remembers the results.
type recording struct {
	from hostfacts.Files

	mu      sync.Mutex
	content map[string]*[]byte          // of regular files, what was read
	dirs    map[string][]string         // of directories, their names
	links   map[string]string           // of symbolic links, their destination
	there   map[string]struct{}         // seen by stat alone
	failed  map[string]map[string]error // by operation and name
}

func newRecording(from hostfacts.Files) *recording {
	return &recording{
		from: from, content: map[string]*[]byte{}, dirs: map[string][]string{}, links: map[string]string{},
		there: map[string]struct{}{}, failed: map[string]map[string]error{},
	}
}

func (r *recording) Open(name string) (hostfacts.File, error) {
	f, err := r.from.Open(name)
	r.note(opOpen, &name, err, func() {
		if r.content[name] == nil {
			r.content[name] = new([]byte)
		}
	})
	if err != nil {
		return nil, err
	}
	return &recordedFile{File: f, name: name, recording: r}, nil
}

func (r *recording) ReadDir(name string) ([]string, error) {
	names, err := r.from.ReadDir(name)
	r.note(opList, &name, err, func() { r.dirs[name] = append([]string{}, names...) })
	return names, err
}

func (r *recording) Readlink(name string) (string, error) {
	link, err := r.from.Readlink(name)
	r.note(opLink, &name, err, func() { r.links[name] = link })
	return link, err
}

func (r *recording) Stat(name string) error {
	err := r.from.Stat(name)
	r.note(opStat, &name, err, func() { r.there[name] = struct{}{} })
	return err
}

// note cleans the name of what was looked up and remembers the error, or what
// remember does, under it.
func (r *recording) note(op string, name *string, err error, remember func()) {
	*name = clean(*name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fail(op, *name, err)
		return
	}
	remember()
}

// fail remembers an error. The caller has locked r.mu.
func (r *recording) fail(op, name string, err error) {
	if inner, ok := errors.AsType[*fs.PathError](err); ok && inner.Err != nil {
		err = inner.Err
	}
	if r.failed[op] == nil {
		r.failed[op] = map[string]error{}
	}
	r.failed[op][name] = err
}

// wrote remembers what a read at offset returned.
func (r *recording) wrote(name string, offset int64, data []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !errors.Is(err, io.EOF) {
		r.fail(opRead, name, err)
	}
	end := offset + int64(len(data))
	if end > maxRecorded {
		r.fail(opOpen, name, fmt.Errorf("read beyond %d bytes", maxRecorded))
		return
	}
	file := r.content[name]
	if grow := end - int64(len(*file)); grow > 0 {
		*file = append(*file, make([]byte, grow)...)
	}
	copy((*file)[offset:], data)
}

// recordedFile remembers what is read of a file. What was not read stays zero.
type recordedFile struct {
	hostfacts.File
	name      string
	recording *recording
	offset    int64
}

func (f *recordedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.recording.wrote(f.name, f.offset, p[:n], err)
	f.offset += int64(n)
	return n, err
}

func (f *recordedFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.File.ReadAt(p, offset)
	f.recording.wrote(f.name, max(offset, 0), p[:n], err)
	return n, err
}
