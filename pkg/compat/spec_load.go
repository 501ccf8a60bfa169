package compat

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	maxSpecFile  = 1 << 20
	maxSpecFiles = 256
)

// LoadSpecs returns the embedded compatibility specs together with those that
// the operator keeps as *.toml in dir, in the order in which they are asked:
// the operator's first. Of several specs of one name one counts: the operator's
// before the embedded, and of the operator's the last by file name. A file that
// cannot be used is left out and said in skipped; the rest stays. A directory
// that is not there holds none.
func LoadSpecs(dir string) (specs []Spec, skipped []error, err error) {
	specs, err = EmbeddedSpecs()
	if err != nil {
		return nil, nil, err
	}
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.toml"))
	if err != nil {
		return nil, nil, fmt.Errorf("list compatibility specs: %w", err)
	}
	if len(files) > maxSpecFiles {
		skipped = append(skipped, fmt.Errorf("read compatibility specs of %s: only the first %d of %d files are read", dir, maxSpecFiles, len(files)))
		files = files[:maxSpecFiles]
	}
	var own []Spec
	for _, file := range files {
		spec, err := readSpec(file)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("load compatibility spec: %w", err))
			continue
		}
		own = append(without(own, spec.Name), spec)
		specs = without(specs, spec.Name)
	}
	specs = append(own, specs...)
	specificFirst(specs)
	return specs, skipped, nil
}

func without(specs []Spec, name string) []Spec {
	return slices.DeleteFunc(specs, func(s Spec) bool { return s.Name == name })
}

func readSpec(file string) (Spec, error) {
	text, err := fsutil.ReadFile(file, maxSpecFile)
	if err != nil {
		return Spec{}, err
	}
	spec, err := ParseSpec(text)
	if err != nil {
		return Spec{}, fmt.Errorf("read %s: %w", file, err)
	}
	spec.Source = file
	return spec, nil
}

// escapeGlob makes a path a pattern that only matches itself.
func escapeGlob(path string) string {
	var escaped []rune
	for _, r := range path {
		if r == '*' || r == '?' || r == '[' || r == '\\' {
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, r)
	}
	return string(escaped)
}
