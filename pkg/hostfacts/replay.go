package hostfacts

import (
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"syscall"
	"time"

	"github.com/imagefit/imagefit/pkg/facts"
)

// taken is the index of a snapshot: what was asked of the node's files and
// answered, without the content of files, and what no file says.
type taken struct {
	Version int    `json:"version"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// Dirs holds the names in each directory that was listed.
	Dirs map[string][]string `json:"dirs"`
	// Links holds where symbolic links lead.
	Links map[string]string `json:"links"`
	// There holds the names that were only looked for, and found.
	There []string `json:"there"`
	// Missing holds the names that were looked for, and not found.
	Missing []string `json:"missing"`
	// Errors holds, for each operation, the names it did not work for and why.
	Errors map[string]map[string]string `json:"errors"`
	// Time is when the snapshot was taken: what had expired by then has.
	Time time.Time `json:"time"`
	// BeyondSets names the sets that the running machine knew better than its
	// files, such as the CPU flags that only the CPU itself tells.
	BeyondSets []string `json:"beyond_sets,omitempty"`
	// Beyond is the JSON of those sets as facts.
	Beyond json.RawMessage `json:"beyond,omitempty"`
	beyond facts.Features
}

// replay answers as the node did when the snapshot was taken. What nobody asked
// then is neither there nor missing: the answer is an error, and so the fact
// unknown.
type replay struct {
	content files
	index   *taken
	missing map[string]struct{}
	there   map[string]struct{}
}

func newReplay(content files, index *taken) replay {
	r := replay{content: content, index: index, missing: map[string]struct{}{}, there: map[string]struct{}{}}
	for _, name := range index.Missing {
		r.missing[clean(name)] = struct{}{}
	}
	for _, name := range index.There {
		r.there[clean(name)] = struct{}{}
	}
	return r
}

func (r replay) open(name string) (File, error) {
	name = clean(name)
	if err := r.failed(opOpen, name); err != nil {
		return nil, err
	}
	f, err := r.content.open(name)
	if err != nil {
		if _, isDir := r.index.Dirs[name]; isDir {
			return nil, errNotRegular()
		}
		return nil, r.nothing(name)
	}
	if err := r.failed(opRead, name); err != nil {
		return failingFile{File: f, err: err}, nil
	}
	return f, nil
}

func (r replay) readDir(name string) ([]string, error) {
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

func (r replay) readlink(name string) (string, error) {
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

func (r replay) stat(name string) error {
	name = clean(name)
	if err := r.failed(opStat, name); err != nil {
		return err
	}
	_, there := r.there[name]
	_, isDir := r.index.Dirs[name]
	if there || isDir || r.content.stat(name) == nil {
		return nil
	}
	return r.nothing(name)
}

// failed returns the error that the operation had, or nil.
func (r replay) failed(op, name string) error {
	if text, ok := r.index.Errors[op][name]; ok {
		return errorFrom(text)
	}
	return nil
}

// nothing tells a name that was not there from one that nobody looked for.
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

// failingFile ends with an error where other files end.
type failingFile struct {
	File
	err error
}

func (f failingFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}

func (f failingFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.File.ReadAt(p, offset)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}

// errnos names the errors of files that collectors tell apart. Their numbers
// differ between systems.
func errnos() map[string]syscall.Errno {
	return map[string]syscall.Errno{
		"EACCES":     syscall.EACCES,
		"EBUSY":      syscall.EBUSY,
		"EINVAL":     syscall.EINVAL,
		"EIO":        syscall.EIO,
		"EISDIR":     syscall.EISDIR,
		"ELOOP":      syscall.ELOOP,
		"ENODEV":     syscall.ENODEV,
		"ENOENT":     syscall.ENOENT,
		"ENOSYS":     syscall.ENOSYS,
		"ENOTDIR":    syscall.ENOTDIR,
		"ENXIO":      syscall.ENXIO,
		"EOPNOTSUPP": syscall.EOPNOTSUPP,
		"EPERM":      syscall.EPERM,
	}
}

// errorText returns what errorFrom takes back.
func errorText(err error) string {
	for name, errno := range errnos() {
		if errors.Is(err, errno) && !isOtherErrno(err, errno) {
			return name
		}
	}
	return err.Error()
}

// isOtherErrno sorts out the numbers that count as equal, such as EPERM for
// EACCES under os.ErrPermission.
func isOtherErrno(err error, errno syscall.Errno) bool {
	var own syscall.Errno
	return errors.As(err, &own) && own != errno
}

func errorFrom(text string) error {
	if errno, ok := errnos()[text]; ok {
		return errno
	}
	return errors.New(text)
}
