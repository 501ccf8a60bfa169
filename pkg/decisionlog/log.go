package decisionlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	file    = "decisions.jsonl"
	rotated = "decisions.1.jsonl"

	// maxFile is the size at which the file is rotated. Two are kept, with some
	// ten thousand decisions.
	maxFile = 4 << 20
	// maxLine bounds what is read of one line; a record is shorter.
	maxLine = 64 << 10
)

// Log is the decision log in a directory. Any number of processes may append to
// it at the same time. No file is kept open: they may be deleted at any time.
type Log struct {
	dir string
	max int64
}

// Open returns the decision log in a directory, which need not exist yet.
func Open(dir string) *Log { return &Log{dir: dir, max: maxFile} }

// Append adds a record.
func (l *Log) Append(r Record) error {
	line, err := json.Marshal(r.Bounded())
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	if err := l.append(append(line, '\n')); err != nil {
		return fmt.Errorf("append to the decision log: %w", err)
	}
	return nil
}

// append creates file and directory if they are missing.
func (l *Log) append(line []byte) error {
	const flags = os.O_CREATE | os.O_RDWR | os.O_APPEND | syscall.O_NONBLOCK // opening a pipe must not block a pull
	path := filepath.Join(l.dir, file)
	f, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			return err
		}
		f, err = os.OpenFile(path, flags, 0o600)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // a pipe that is not read blocks once it is full
		return fmt.Errorf("%s is not a regular file: remove it", path)
	}
	if size := info.Size(); size > 0 { // a full disk may have cut off the last line
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(line); err != nil {
		return err
	}
	if info.Size()+int64(len(line)) < l.max {
		return nil
	}
	return l.rotate(f, info)
}

// rotate renames the file, unless another process does or just did. It does not
// wait for a lock, because a pull waits for it.
func (l *Log) rotate(f *os.File, info fs.FileInfo) error {
	err := fsutil.Lock(f, false)
	if errors.Is(err, fsutil.ErrLocked) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	current, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(current, info) {
		return nil
	}
	if err := os.Rename(f.Name(), filepath.Join(l.dir, rotated)); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	return nil
}
