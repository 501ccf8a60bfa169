package hostfacts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/facts"
)

const (
	snapshotVersion = 1
	// snapshotIndex is the file of a snapshot that says what was asked and
	// answered, and what no file says.
	snapshotIndex = "imagefit/snapshot.json"
	maxIndex      = 16 << 20
)

// SnapshotOptions says what a snapshot holds.
type SnapshotOptions struct {
	// Identity keeps what tells this machine from its twin: host name,
	// serials, UUIDs, hardware and network addresses.
	Identity bool
}

// WriteSnapshot collects the facts of root and writes, as a tar.gz, the files
// that were read, and what no file says. OpenRoot takes it back and yields the
// same facts; those that are left out for what they identify become unknown.
func WriteSnapshot(ctx context.Context, w io.Writer, root Root, options SnapshotOptions) error {
	recording := newRecording(root.where())
	Collect(ctx, Root{dir: root.dir, files: recording, machine: isLive(root), taken: root.taken})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("collect facts: %w", err)
	}
	index, content := recording.index(newRedactor(options.Identity))
	if err := index.addBeyond(ctx, root, content); err != nil {
		return err
	}
	return writeArchive(w, index, content)
}

// index returns what was recorded, without what must not be told.
func (r *recording) index(redact redactor) (*taken, map[string][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	index := &taken{
		Version: snapshotVersion,
		Dirs:    map[string][]string{}, Links: map[string]string{}, Errors: map[string]map[string]string{},
		Time: time.Now().UTC().Truncate(time.Second),
	}
	missing, content := map[string]struct{}{}, map[string][]byte{}
	for op, failed := range r.failed {
		index.Errors[op] = map[string]string{}
		for name, err := range failed {
			if errors.Is(err, fs.ErrNotExist) {
				missing[redact.text(name)] = struct{}{}
				continue
			}
			index.Errors[op][redact.text(name)] = redact.text(errorText(err))
		}
	}
	for name, data := range r.content {
		kept, ok := redact.file(name, *data)
		if !ok {
			index.leaveOut(redact.text(name), missing)
			continue
		}
		content[redact.text(name)] = kept
	}
	for name, names := range r.dirs {
		listed := []string{}
		for _, entry := range names {
			listed = append(listed, redact.text(entry))
		}
		slices.Sort(listed)
		index.Dirs[redact.text(name)] = listed
	}
	for name, link := range r.links {
		index.Links[redact.text(name)] = redact.text(link)
	}
	for name := range r.there {
		index.There = append(index.There, redact.text(name))
	}
	slices.Sort(index.There)
	index.Missing = slices.Sorted(maps.Keys(missing))
	return index, content
}

// leaveOut makes a file unreadable. An attribute of a device is not there
// instead, so that the rest of the device can be read.
func (t *taken) leaveOut(name string, missing map[string]struct{}) {
	if strings.HasPrefix(name, "sys/") {
		missing[name] = struct{}{}
		return
	}
	if t.Errors[opOpen] == nil {
		t.Errors[opOpen] = map[string]string{}
	}
	t.Errors[opOpen][name] = "left out of the snapshot, because it identifies the machine,"
}

// addBeyond adds the sets that the machine, when it is this one, knows better
// than its files. Both are asked over the files of the snapshot, so that nothing
// comes back that was left out of them.
func (t *taken) addBeyond(ctx context.Context, root Root, content map[string][]byte) error {
	a := newArchive()
	for name, data := range content {
		if err := a.put(name, &archived{data: data}); err != nil {
			return fmt.Errorf("take snapshot: %w", err)
		}
	}
	files := newReplay(a, t)
	known := Collect(ctx, Root{dir: "/", files: files, machine: isLive(root), taken: root.taken})
	told := Collect(ctx, Root{dir: "/", files: files, taken: &taken{Time: t.Time, Arch: known.Arch()}})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("collect facts: %w", err)
	}
	t.OS, t.Arch = known.OS(), known.Arch()
	have, without := known.Features(), told.Features()
	for _, set := range slices.Concat(have.Sets(), without.Sets()) {
		same := func(name string) bool { return name == set }
		if !slices.Contains(t.BeyondSets, set) && !reflect.DeepEqual(have.Only(same), without.Only(same)) {
			t.BeyondSets = append(t.BeyondSets, set)
		}
	}
	if len(t.BeyondSets) == 0 {
		return nil
	}
	slices.Sort(t.BeyondSets)
	isBeyond := func(name string) bool { return slices.Contains(t.BeyondSets, name) }
	var err error
	t.Beyond, err = json.Marshal(facts.New(known.OS(), known.Arch(), have.Only(isBeyond)))
	return err
}

// apply puts what no file says in the place of what the files say.
func (t *taken) apply(all *facts.Features) {
	if t == nil || len(t.BeyondSets) == 0 {
		return
	}
	problems := all.Problems
	*all = all.Only(func(set string) bool { return !slices.Contains(t.BeyondSets, set) })
	all.Add(t.beyond)
	all.Problems = problems
}

func writeArchive(w io.Writer, index *taken, content map[string][]byte) error {
	text, err := json.MarshalIndent(index, "", " ")
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	content[snapshotIndex] = append(text, '\n')
	z := gzip.NewWriter(w)
	archive := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		data := content[name]
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("write snapshot: %w", err)
		}
		if _, err := archive.Write(data); err != nil {
			return fmt.Errorf("write snapshot: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), z.Close()); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// OpenRoot returns the root at path: a directory, a snapshot, or any other
// tar.gz of a node's files. A snapshot may also be unpacked in a directory.
func OpenRoot(path string) (Root, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Root{}, err
	}
	if !info.IsDir() {
		return openArchive(path)
	}
	root := NewRoot(path)
	if root.isReal() {
		return root, nil
	}
	return root.asSnapshot()
}

func openArchive(path string) (Root, error) {
	f, err := os.Open(path)
	if err != nil {
		return Root{}, err
	}
	defer func() { _ = f.Close() }()
	a, err := readArchive(f)
	if err != nil {
		return Root{}, fmt.Errorf("read snapshot %s: %w", path, err)
	}
	return Root{dir: filepath.Clean(path), files: a}.asSnapshot()
}

// asSnapshot returns the root that answers as the index among its files says,
// and the root itself when there is no index.
func (r Root) asSnapshot() (Root, error) {
	data, err := r.ReadBounded(snapshotIndex, maxIndex)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return r, nil
	}
	if err != nil {
		return Root{}, err
	}
	index, err := parseIndex(data)
	if err != nil {
		return Root{}, fmt.Errorf("read snapshot %s: %s: %w", r.Dir(), snapshotIndex, err)
	}
	return Root{dir: "/", files: newReplay(r.files, index), taken: index}, nil
}

func parseIndex(data []byte) (*taken, error) {
	var index taken
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	if index.Version != snapshotVersion {
		return nil, fmt.Errorf("version %d is not known, only %d is", index.Version, snapshotVersion)
	}
	if len(index.BeyondSets) == 0 {
		return &index, nil
	}
	beyond, err := Parse(bytes.NewReader(index.Beyond))
	if err != nil {
		return nil, err
	}
	index.beyond = beyond.Features()
	return &index, nil
}
