package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// Bounds on what is read of a configuration.
const (
	maxFile  = 1 << 20
	maxFiles = 100
)

// file is what matters here of one configuration file. It is not decoded strictly, since
// most keys of the runtime are not needed here.
type file struct {
	Version  int            `toml:"version"`
	Imports  []string       `toml:"imports"`
	Disabled []string       `toml:"disabled_plugins"`
	Plugins  map[string]any `toml:"plugins"`
}

// Read reads containerd's configuration with all that it imports. A missing file is not an
// error. What the file does not set has containerd's defaults.
func Read(path string) (Settings, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return defaults(), nil
	}
	merged, files, err := readAll(path)
	if err != nil {
		return defaults(), fmt.Errorf("read containerd's configuration: %w", err)
	}
	s := merged.settings()
	s.Files = files
	s.Registry.Rewrite = rewrites("", files)
	return s, nil
}

// readAll merges a file with all that it imports. Each is brought to the shape of the
// newest version first, as containerd does.
func readAll(path string) (merged file, read []string, err error) {
	merged.Plugins = map[string]any{}
	pending := []string{path}
	seen := map[string]bool{}
	for len(pending) > 0 {
		path, pending = pending[0], pending[1:]
		if seen[path] { // files may import each other
			continue
		}
		if len(read) == maxFiles {
			return merged, nil, fmt.Errorf("more than %d files are imported", maxFiles)
		}
		seen[path] = true
		text, err := fsutil.ReadFile(path, maxFile)
		if err != nil {
			return merged, nil, err
		}
		one, err := parse(text)
		if err != nil {
			return merged, nil, fmt.Errorf("%s: %w", path, err)
		}
		imports, err := resolve(path, one.Imports)
		if err != nil {
			return merged, nil, err
		}
		read = append(read, path)
		pending = append(pending, imports...)
		merge(merged.Plugins, one.Plugins)
		merged.Disabled = append(merged.Disabled, one.Disabled...)
	}
	return merged, read, nil
}

func parse(text []byte) (*file, error) {
	parsed := new(file)
	if err := toml.Unmarshal(text, parsed); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, column := e.Position()
			return nil, fmt.Errorf("row %d, column %d: not valid TOML for containerd", row, column)
		}
		return nil, errors.New("not valid TOML for containerd")
	}
	if parsed.Plugins == nil {
		parsed.Plugins = map[string]any{}
	}
	parsed.migrate()
	return parsed, nil
}

// resolve makes paths of imports: relative to the file that has them, with * as a
// glob that may match nothing.
func resolve(parent string, imports []string) ([]string, error) {
	var all []string
	for _, path := range imports {
		path = filepath.Clean(path)
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(parent), path)
		}
		if !strings.Contains(path, "*") {
			all = append(all, path)
			continue
		}
		matches, err := filepath.Glob(path)
		if err != nil {
			return nil, fmt.Errorf("import %s of %s: %w", path, parent, err)
		}
		all = append(all, matches...)
	}
	return all, nil
}

// merge puts the later file's tables into those of the earlier ones, key by key; anything
// that is not a table is replaced, lists included.
func merge(into, from map[string]any) {
	for key, value := range from {
		table, isTable := value.(map[string]any)
		old, wasTable := into[key].(map[string]any)
		if isTable && wasTable {
			merge(old, table)
		} else {
			into[key] = value
		}
	}
}
