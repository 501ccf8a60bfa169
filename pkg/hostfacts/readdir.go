package hostfacts

import (
	"errors"
	"io/fs"
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
