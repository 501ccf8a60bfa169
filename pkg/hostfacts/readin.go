package hostfacts

import (
	"errors"
	"io/fs"
	"strings"
)

// readDirIn returns the names in a directory that a kernel without the subsystem
// does not have. There are none then; but when parent, which every kernel has, is
// missing too, that is an error.
func readDirIn(root Root, parent, dir string) ([]string, error) {
	names, err := root.ReadDir(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return names, err
	}
	return nil, root.stat(parent)
}

// existsIn reports whether name exists. When parent, which every kernel has, is
// missing too, that is an error.
func existsIn(root Root, parent, name string) (bool, error) {
	exists, err := root.Exists(name)
	if exists || err != nil {
		return exists, err
	}
	return false, root.stat(parent)
}

// readIn reads a file that a kernel without the subsystem does not have. It is
// empty then; but when parent, which every kernel has, is missing too, that is an
// error.
func readIn(root Root, parent, name string) (string, error) {
	text, err := readTrimmed(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", root.stat(parent)
	}
	return text, err
}

func readTrimmed(root Root, name string) (string, error) {
	data, err := root.ReadFile(name)
	return strings.TrimSpace(string(data)), err
}
