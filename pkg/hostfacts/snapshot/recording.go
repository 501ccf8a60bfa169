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

// fileErrors are errors by operation and name.
type fileErrors map[string]map[string]error

// recording forwards everything and remembers the results.
type recording struct {
	from hostfacts.Files

	mu      sync.Mutex
	content map[string]*[]byte  // of regular files, what was read
	dirs    map[string][]string // of directories, their names
	links   map[string]string   // of symbolic links, their destination
	there   map[string]struct{} // seen by stat alone
	failed  fileErrors
}

func newRecording(from hostfacts.Files) *recording {
	return &recording{
		from:    from,
		content: map[string]*[]byte{},
		dirs:    map[string][]string{},
		links:   map[string]string{},
		there:   map[string]struct{}{},
		failed:  fileErrors{},
	}
}

func (r *recording) Open(name string) (hostfacts.File, error) {
	f, err := r.from.Open(name)
	name = clean(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fail(opOpen, name, err)
		return nil, err
	}
	if r.content[name] == nil {
		r.content[name] = new([]byte)
	}
	return &recordedFile{File: f, name: name, recording: r}, nil
}

func (r *recording) ReadDir(name string) ([]string, error) {
	names, err := r.from.ReadDir(name)
	name = clean(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fail(opList, name, err)
		return nil, err
	}
	r.dirs[name] = append([]string(nil), names...)
	return names, nil
}

func (r *recording) Readlink(name string) (string, error) {
	link, err := r.from.Readlink(name)
	name = clean(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fail(opLink, name, err)
		return "", err
	}
	r.links[name] = link
	return link, nil
}

func (r *recording) Stat(name string) error {
	err := r.from.Stat(name)
	name = clean(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fail(opStat, name, err)
		return err
	}
	r.there[name] = struct{}{}
	return nil
}

// fail remembers an error. The caller has locked r.mu.
func (r *recording) fail(op, name string, err error) {
	var inner *fs.PathError
	if errors.As(err, &inner) && inner.Err != nil {
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
