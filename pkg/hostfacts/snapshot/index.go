package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

const (
	indexVersion = 1
	indexFile    = "imagefit/snapshot.json"
	maxIndex     = 16 << 20
)

// index is the file of a snapshot that records which names were looked up and what
// was found, without the content of files, and what is known beyond them.
type index struct {
	Version int    `json:"version"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// Dirs has the names in each directory that was listed.
	Dirs map[string][]string `json:"dirs"`
	// Links has the destinations of symbolic links.
	Links map[string]string `json:"links"`
	// There has the names that were only looked for, and found.
	There []string `json:"there"`
	// Missing has the names that were looked for, and not found.
	Missing []string `json:"missing"`
	// Errors has the names that each operation failed for, and why.
	Errors map[string]map[string]string `json:"errors"`
	// Time is when the snapshot was taken.
	Time time.Time `json:"time"`
	// BeyondSets names the sets that the running machine knew better than its
	// files, such as the CPU flags that only CPUID reports.
	BeyondSets []string `json:"beyond_sets,omitempty"`
	// Beyond is the JSON of those sets as facts.
	Beyond json.RawMessage `json:"beyond,omitempty"`
}

func parseIndex(data []byte) (*index, *hostfacts.Recorded, error) {
	var i index
	if err := json.Unmarshal(data, &i); err != nil {
		return nil, nil, err
	}
	if i.Version != indexVersion {
		return nil, nil, fmt.Errorf("version %d is not supported, only %d is", i.Version, indexVersion)
	}
	recorded := &hostfacts.Recorded{Time: i.Time, Arch: i.Arch, Sets: i.BeyondSets}
	if len(i.BeyondSets) == 0 {
		return &i, recorded, nil
	}
	beyond, err := facts.Decode(bytes.NewReader(i.Beyond))
	recorded.Features = beyond.Features
	return &i, recorded, err
}

// index returns what was recorded, redacted, and the content of files.
func (r *recording) index(redact redactor) (*index, map[string][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := &index{
		Version: indexVersion,
		Dirs:    map[string][]string{}, Links: map[string]string{}, Errors: map[string]map[string]string{},
		Time: time.Now().UTC().Truncate(time.Second),
	}
	missing, content := map[string]struct{}{}, map[string][]byte{}
	for op, failed := range r.failed {
		i.Errors[op] = map[string]string{}
		for name, err := range failed {
			if errors.Is(err, fs.ErrNotExist) {
				missing[redact.text(name)] = struct{}{}
				continue
			}
			i.Errors[op][redact.text(name)] = redact.text(errorText(err))
		}
	}
	for name, data := range r.content {
		kept, ok := redact.file(name, *data)
		name = redact.text(name)
		switch {
		case ok:
			content[name] = kept
		case strings.HasPrefix(name, "sys/"): // so that the rest of the device can be read
			missing[name] = struct{}{}
		default:
			if i.Errors[opOpen] == nil {
				i.Errors[opOpen] = map[string]string{}
			}
			i.Errors[opOpen][name] = "left out of the snapshot, because it identifies the machine,"
		}
	}
	for name, names := range r.dirs {
		for at, entry := range names {
			names[at] = redact.text(entry)
		}
		slices.Sort(names)
		i.Dirs[redact.text(name)] = names
	}
	for name, link := range r.links {
		i.Links[redact.text(name)] = redact.text(link)
	}
	for name := range r.there {
		i.There = append(i.There, redact.text(name))
	}
	slices.Sort(i.There)
	i.Missing = slices.Sorted(maps.Keys(missing))
	return i, content
}

// errnos names the errors that collectors distinguish. Their numbers differ
// between systems.
func errnos() map[string]syscall.Errno {
	return map[string]syscall.Errno{
		"EACCES": syscall.EACCES, "EBUSY": syscall.EBUSY, "EINVAL": syscall.EINVAL, "EIO": syscall.EIO,
		"EISDIR": syscall.EISDIR, "ELOOP": syscall.ELOOP, "ENODEV": syscall.ENODEV, "ENOENT": syscall.ENOENT,
		"ENOSYS": syscall.ENOSYS, "ENOTDIR": syscall.ENOTDIR, "ENXIO": syscall.ENXIO,
		"EOPNOTSUPP": syscall.EOPNOTSUPP, "EPERM": syscall.EPERM,
	}
}

// errorText returns the name of an error, or its text.
func errorText(err error) string {
	errno, isErrno := errors.AsType[syscall.Errno](err)
	for name, known := range errnos() {
		if isErrno && errno == known || !isErrno && errors.Is(err, known) {
			return name
		}
	}
	return err.Error()
}
