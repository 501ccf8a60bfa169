package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	file    = "decisions.jsonl"
	earlier = "decisions.1.jsonl"

	// maxFile is the size from which a file makes room for the next. Two are
	// kept, some ten thousand decisions.
	maxFile = 4 << 20
	// maxText bounds each text of a record.
	maxText = 1 << 10
	// maxLine bounds what is read of one line; a record is shorter.
	maxLine = 64 << 10
)

// Journal appends to the file in a folder. Any number of processes may do so at
// the same time. Nothing is kept open: the file may be deleted at any time.
type Journal struct {
	dir string
	max int64
}

// Open returns the journal in a folder, which need not exist yet.
func Open(dir string) *Journal { return &Journal{dir: dir, max: maxFile} }

// Append adds a record.
func (j *Journal) Append(r Record) error {
	line, err := json.Marshal(r.Bounded())
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(j.dir, file), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("keep decision: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("keep decision: %w", err)
	}
	line = append(line, '\n')
	if size := info.Size(); size > 0 { // a full disk may have cut the last line off
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("keep decision: %w", err)
	}
	if info.Size()+int64(len(line)) < j.max {
		return nil
	}
	return j.rotate(f, info)
}

// rotate moves the file out of the way, unless another process just did.
func (j *Journal) rotate(f *os.File, info fs.FileInfo) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	current, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(current, info) {
		return nil
	}
	if err := os.Rename(f.Name(), filepath.Join(j.dir, earlier)); err != nil {
		return fmt.Errorf("rotate decisions: %w", err)
	}
	return nil
}

// Bounded cuts texts that a client or a registry had a hand in.
func (r Record) Bounded() Record {
	for _, s := range []*string{
		&r.Reference, &r.Namespace, &r.Pod, &r.Container, &r.Choice, &r.Manifest, &r.Image, &r.Reason, &r.Error,
	} {
		if len(*s) > maxText {
			*s = strings.ToValidUTF8((*s)[:maxText], "") + " ..."
		}
	}
	return r
}
