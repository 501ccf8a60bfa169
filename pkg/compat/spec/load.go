package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
)

const (
	maxSpecFile  = 1 << 20
	maxSpecFiles = 256
)

// LoadSpecs returns the embedded compatibility specs together with those that
// the operator keeps as *.toml in a folder, in the order in which they are
// asked: the operator's first. Of several specs of one name only one applies:
// the operator's before the embedded, and of the operator's the last by file
// name. A file that cannot be used is left out, with the reason in skipped. A
// folder that does not exist has no specs.
//
// The name of the folder is for messages.
func Load(folder fs.FS, name string) (specs []Spec, skipped []error, err error) {
	specs, err = Embedded()
	if err != nil {
		return nil, nil, err
	}
	files, err := fs.Glob(folder, "*.toml")
	if err != nil {
		return nil, nil, fmt.Errorf("list compatibility specs: %w", err)
	}
	if len(files) > maxSpecFiles {
		skipped = append(skipped, fmt.Errorf("read compatibility specs of %s: only the first %d of %d files are read", name, maxSpecFiles, len(files)))
		files = files[:maxSpecFiles]
	}
	var own []Spec
	for _, file := range files {
		spec, err := readSpec(folder, file)
		spec.Source = path.Join(name, file)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("read compatibility spec %s: %w", spec.Source, err))
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

func readSpec(folder fs.FS, file string) (Spec, error) {
	info, err := fs.Stat(folder, file)
	if err != nil {
		return Spec{}, err
	}
	if !info.Mode().IsRegular() { // a pipe would never end
		return Spec{}, errors.New("not a regular file")
	}
	f, err := folder.Open(file)
	if err != nil {
		return Spec{}, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSpecFile+1))
	if err != nil {
		return Spec{}, err
	}
	if len(text) > maxSpecFile {
		return Spec{}, fmt.Errorf("larger than %d bytes", maxSpecFile)
	}
	return Parse(text)
}
