// Package fsutil reads files of bounded size and replaces files in one step.
package fsutil

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// What ReadFile and ReadAll refuse, to be found with errors.Is.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("too large")
)

// sizeError is an ErrTooLarge that says how much would have been read.
type sizeError int64

func (limit sizeError) Error() string        { return fmt.Sprintf("larger than %d bytes", int64(limit)) }
func (limit sizeError) Is(target error) bool { return target == ErrTooLarge }

// ReadFile reads a regular file of at most limit bytes, also behind links, by
// which Kubernetes mounts a ConfigMap. It refuses a pipe without waiting for a
// writer. Each error is a *fs.PathError.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	return ReadAll(path, f, limit)
}

// ReadAny is ReadFile for a file that a person names on the command line, which
// may be a pipe: a shell's <(...).
func ReadAny(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return ReadAll(path, f, limit)
}

// ReadAll reads r to its end, at most limit bytes. Each error is a *fs.PathError
// under the name given, and more than limit bytes are one.
func ReadAll(name string, r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = sizeError(limit)
	}
	if err == nil {
		return content, nil
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, err
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: err}
}
