package fsutil

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteOptions are how WriteAtomic writes.
type WriteOptions struct {
	Mode fs.FileMode // of the file; 0 is 0600
	Sync bool        // the content survives a power cut
	New  bool        // a file that exists is an error, fs.ErrExist
}

// TempPrefix is how the names of temporary files begin. Writers that were killed
// leave one.
const TempPrefix = ".tmp-"

// WriteAtomic writes a file in one step: whoever reads it sees the old content or
// the new one, never a part. The folder must exist.
func WriteAtomic(path string, o WriteOptions, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return &fs.PathError{Op: "create", Path: path, Err: syscall.EISDIR}
	}
	temp, err := os.CreateTemp(filepath.Dir(path), TempPrefix)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "create", Path: path, Err: failed.Err} // without the temporary name
	}
	if err != nil {
		return err
	}
	if err := errors.Join(o.fill(temp, write), temp.Close()); err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	if !o.New {
		err = os.Rename(temp.Name(), path)
	} else if err = os.Link(temp.Name(), path); errors.Is(err, fs.ErrExist) {
		err = &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	if err != nil || o.New {
		_ = os.Remove(temp.Name())
	}
	return err
}

// ReplaceFile gives a regular file new content, for good and with the mode that
// it has. A link stays one: what it leads to is replaced.
func ReplaceFile(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "replace", Path: path, Err: ErrNotRegular}
	}
	return WriteAtomic(path, WriteOptions{Mode: info.Mode().Perm(), Sync: true}, Bytes(content))
}

func (o WriteOptions) fill(temp *os.File, write func(io.Writer) error) error {
	if err := write(temp); err != nil {
		return err
	}
	if o.Mode != 0 {
		if err := temp.Chmod(o.Mode); err != nil {
			return err
		}
	}
	if o.Sync {
		return temp.Sync()
	}
	return nil
}

// Bytes is content that WriteAtomic writes.
func Bytes(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}
