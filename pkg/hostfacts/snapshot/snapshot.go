// Package snapshot saves the files that the facts of a node are read from, in one
// archive that yields the same facts on any machine.
package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// Options selects what a snapshot keeps.
type Options struct {
	// Identity keeps what identifies this machine: host name, serials, UUIDs,
	// hardware and network addresses.
	Identity bool
}

// Write collects the facts of root and writes, as a tar.gz, the files that were
// read, and what is known beyond them. Open takes it back and yields the same facts;
// those that are left out because they identify the machine become unknown.
func Write(ctx context.Context, w io.Writer, root hostfacts.Root, options Options) error {
	recording := newRecording(root.Files())
	hostfacts.Collect(ctx, root.WithFiles(root.Dir(), recording))
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("collect facts: %w", err)
	}
	index, content := recording.index(redactor{off: options.Identity})
	if err := index.addBeyond(ctx, root, content); err != nil {
		return err
	}
	if err := writeArchive(w, index, content); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// addBeyond adds the sets that the machine, when it is this one, knows better
// than its files. Facts are collected twice over the files of the snapshot, with
// the machine and without, so that nothing returns that was left out of them.
func (i *index) addBeyond(ctx context.Context, root hostfacts.Root, content map[string][]byte) error {
	a := newArchive()
	for name, data := range content {
		if err := a.put(name, &archived{data: data}); err != nil {
			return fmt.Errorf("take snapshot: %w", err)
		}
	}
	files := newReplay(a, i)
	known := hostfacts.Collect(ctx, root.WithFiles("/", files))
	byFiles := &hostfacts.Recorded{Time: i.Time, Arch: known.Arch()}
	derived := hostfacts.Collect(ctx, hostfacts.NewVirtualRoot("/", files, byFiles))
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("collect facts: %w", err)
	}
	i.OS, i.Arch = known.OS(), known.Arch()
	have, without := known.Features(), derived.Features()
	for _, set := range slices.Concat(have.Sets(), without.Sets()) {
		same := func(name string) bool { return name == set }
		if !slices.Contains(i.BeyondSets, set) && !reflect.DeepEqual(have.Only(same), without.Only(same)) {
			i.BeyondSets = append(i.BeyondSets, set)
		}
	}
	if len(i.BeyondSets) == 0 {
		return nil
	}
	slices.Sort(i.BeyondSets)
	isBeyond := func(name string) bool { return slices.Contains(i.BeyondSets, name) }
	var err error
	i.Beyond, err = json.Marshal(facts.New(known.OS(), known.Arch(), have.Only(isBeyond)))
	return err
}

// Open returns the root at path: a directory, a snapshot, or any other tar.gz of
// a node's files. A snapshot may also be unpacked in a directory.
func Open(path string) (hostfacts.Root, error) {
	info, err := os.Stat(path)
	if err != nil {
		return hostfacts.Root{}, err
	}
	if info.IsDir() {
		root := hostfacts.NewRoot(path)
		if root.IsReal() {
			return root, nil
		}
		return replayed(root)
	}
	f, err := os.Open(path)
	if err != nil {
		return hostfacts.Root{}, err
	}
	defer func() { _ = f.Close() }()
	a, err := readArchive(f)
	if err != nil {
		return hostfacts.Root{}, fmt.Errorf("read snapshot %s: %w", path, err)
	}
	return replayed(hostfacts.NewVirtualRoot(filepath.Clean(path), a, nil))
}

// replayed returns a root that replays the index among the files, or the same root
// when there is no index.
func replayed(root hostfacts.Root) (hostfacts.Root, error) {
	data, err := root.ReadBounded(indexFile, maxIndex)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return root, nil
	}
	if err != nil {
		return hostfacts.Root{}, err
	}
	index, recorded, err := parseIndex(data)
	if err != nil {
		return hostfacts.Root{}, fmt.Errorf("read snapshot %s: %s: %w", root.Dir(), indexFile, err)
	}
	return hostfacts.NewVirtualRoot("/", newReplay(root.Files(), index), recorded), nil
}
