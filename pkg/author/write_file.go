package author

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ReplaceFile gives a file new content: all of it or none, with the mode that
// it has. A link stays one; what it leads to is replaced.
func ReplaceFile(name string, body []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("replace %s: it is no regular file", name)
	}
	return writeFile(name, body, info.Mode().Perm(), os.Rename)
}

// CreateFile writes a new file: all of it or none. A file that is there is an
// error.
func CreateFile(name string, body []byte) error {
	const mode = 0o644
	return writeFile(name, body, mode, func(temporary, name string) error {
		if err := os.Link(temporary, name); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("write %s: %w", name, fs.ErrExist)
			}
			return err
		}
		return os.Remove(temporary)
	})
}

func writeFile(name string, body []byte, mode fs.FileMode, place func(from, to string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(body)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return place(f.Name(), name)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
