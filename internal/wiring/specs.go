package wiring

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

const (
	maxSpecFile  = 1 << 20
	maxSpecFiles = 256
)

// Specs returns the compatibility specs that apply: the embedded ones and those
// that the operator keeps as *.toml in a directory, of which the last of a name
// applies. A file that cannot be used is skipped, with the reason. A directory
// that does not exist has no specs.
func Specs(dir string) (specs []spec.Spec, skipped []error, err error) {
	names, err := fs.Glob(os.DirFS(dir), "*.toml")
	if err != nil {
		return nil, nil, fmt.Errorf("list compatibility specs: %w", err)
	}
	if len(names) > maxSpecFiles {
		skipped = append(skipped, fmt.Errorf("read compatibility specs of %s: only the first %d of %d files are read", dir, maxSpecFiles, len(names)))
		names = names[:maxSpecFiles]
	}
	var own []spec.Spec
	for _, name := range names {
		one, err := readSpec(filepath.Join(dir, name))
		if err != nil {
			skipped = append(skipped, err)
			continue
		}
		own = append(own, one)
	}
	specs, err = spec.With(own)
	return specs, skipped, err
}

func readSpec(file string) (spec.Spec, error) {
	text, err := fsutil.ReadFile(file, maxSpecFile)
	if err != nil {
		return spec.Spec{}, fmt.Errorf("read compatibility spec: %w", err)
	}
	one, err := spec.Parse(text)
	if err != nil {
		return spec.Spec{}, fmt.Errorf("read compatibility spec %s: %w", file, err)
	}
	one.Source = file
	return one, nil
}
