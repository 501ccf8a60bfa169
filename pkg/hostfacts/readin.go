package hostfacts

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/imagefit/imagefit/pkg/facts"
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

// readOptional reads a file that is empty when it is missing, or when the driver
// cannot provide it.
func readOptional(root Root, name string) (string, error) {
	text, err := readTrimmed(root, name)
	if isNoAttribute(err) {
		return "", nil
	}
	return text, err
}

// readFiles reads those files of a directory that exist, and that the driver can
// provide.
func readFiles(root Root, dir string, files ...string) (map[string]string, error) {
	content := make(map[string]string, len(files))
	for _, file := range files {
		text, err := readTrimmed(root, dir+"/"+file)
		switch {
		case err == nil:
			content[file] = text
		case !isNoAttribute(err):
			return nil, err
		}
	}
	return content, nil
}

// readInstance reads the files of one device as attributes.
func readInstance(root Root, dir string, files ...string) (map[string]string, error) {
	content, err := readFiles(root, dir, files...)
	instance := map[string]string{"name": path.Base(dir)}
	for file, text := range content {
		instance[path.Base(file)] = text
	}
	return instance, err
}

// instanceOf returns a function that reads the files of one device.
func instanceOf(files ...string) func(Root, string) ([]map[string]string, error) {
	return func(root Root, dir string) ([]map[string]string, error) {
		instance, err := readInstance(root, dir, files...)
		return []map[string]string{instance}, err
	}
}

// readDevices returns what read returns for each entry of a directory, which a
// kernel without the subsystem does not have.
func readDevices(
	root Root, parent, dir string, read func(root Root, dir string) ([]map[string]string, error),
) ([]map[string]string, error) {
	names, err := readDirIn(root, parent, dir)
	devices := []map[string]string{}
	for _, name := range names {
		found, err := read(root, dir+"/"+name)
		if err != nil {
			return nil, err
		}
		devices = append(devices, found...)
	}
	return devices, err
}

func isNoAttribute(err error) bool {
	return errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, syscall.EINVAL) || // speed of an interface that is down
		errors.Is(err, syscall.EOPNOTSUPP) ||
		errors.Is(err, syscall.ENODEV) || // the device was just removed
		errors.Is(err, syscall.ENOTDIR)
}

// numbered keeps the names that are the prefix and a number, such as cpu12.
func numbered(names []string, prefix string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		digits, ok := strings.CutPrefix(name, prefix)
		return !ok || digits == "" || strings.Trim(digits, "0123456789") != ""
	})
}

// lineAfter returns what follows the prefix in the first line that begins with it.
func lineAfter(data []byte, prefix string) string {
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// known leaves out the elements without a value.
func known(elements map[string]string) map[string]string {
	maps.DeleteFunc(elements, func(_, value string) bool { return value == "" })
	return elements
}

// setElement gives a set an element. Without a value it is absent, and unknown
// where it could not be read.
func setElement(out *facts.Features, set, element, value string, err error) {
	switch {
	case err != nil:
		out.Unknown[set+"/"+element] = facts.CauseOf(err)
	case value != "":
		out.Attributes[set][element] = value
	}
}
