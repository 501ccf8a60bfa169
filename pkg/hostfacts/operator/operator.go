// Package operator reads the facts that the operator of a node declares: files of
// /etc/imagefit/facts.d, and the feature files of NFD.
package operator

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

const (
	// Dir is the directory of the operator's own files, below the node's root.
	Dir      = "etc/imagefit/facts.d"
	maxFile  = 256 << 10
	maxFiles = 1024
)

// Files is the file system of a node. Its errors name paths as the operator sees
// them.
type Files interface {
	ReadDir(name string) ([]string, error)
	// ReadBounded reads a whole file, and fails when it is larger than limit.
	ReadBounded(name string, limit int64) ([]byte, error)
	// Path returns a name as the operator sees it.
	Path(name string) string
}

// Overlay lays the operator's files over the facts that were found, in the order
// of their names. A file with an error is left out as a whole and named among the
// problems.
func Overlay(files Files, all *facts.Features) {
	names, err := files.ReadDir(Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		all.Problems = append(all.Problems, facts.CauseOf(err))
		return
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasSuffix(name, ".toml") || strings.HasPrefix(name, ".")
	})
	if len(names) > maxFiles {
		all.Problems = append(all.Problems, fmt.Sprintf("%s: %d files, only the first %d are read",
			files.Path(Dir), len(names), maxFiles))
		names = names[:maxFiles]
	}
	for _, name := range names {
		name = Dir + "/" + name
		data, err := files.ReadBounded(name, maxFile)
		if err != nil {
			all.Problems = append(all.Problems, facts.CauseOf(err))
			continue
		}
		file, err := parse(data)
		if err != nil {
			problem := strings.ReplaceAll(err.Error(), "\n", "; ")
			all.Problems = append(all.Problems, files.Path(name)+": "+problem)
			continue
		}
		overlay{all, "/" + name}.lay(file)
	}
}

// overlay lays one file over the features found so far.
type overlay struct {
	*facts.Features
	origin string
}

// lay removes first and adds then, so that one file can replace a set.
func (o overlay) lay(file file) {
	for _, name := range file.Absent {
		set, element, isElement := strings.Cut(name, "/")
		if !isElement {
			o.empty(set)
			continue
		}
		if flags, ok := o.Flags[set]; ok {
			o.Flags[set] = slices.DeleteFunc(flags, func(flag string) bool { return flag == element })
		}
		delete(o.Attributes[set], element)
		o.mark(set, element)
		o.Absent[set] = append(o.Absent[set], element)
	}
	for set, flags := range file.Flags {
		o.claim(set)
		o.Flags[set] = append(o.Flags[set], flags...)
		for _, flag := range flags {
			o.mark(set, flag)
		}
	}
	for set, attributes := range file.Attributes {
		o.claim(set)
		if o.Attributes[set] == nil {
			o.Attributes[set] = map[string]string{}
		}
		for element, value := range attributes {
			o.Attributes[set][element] = value.text
			o.mark(set, element)
		}
	}
	for set, instances := range file.Instances {
		o.claim(set)
		delete(o.Unknown, set) // a list is known or not, and now it is
		for _, instance := range instances {
			o.addInstance(set, instance)
		}
	}
}

// kinds reports which kinds the set is known to have.
func (o overlay) kinds(set string) (flags, attributes, instances bool) {
	_, flags = o.Flags[set]
	_, attributes = o.Attributes[set]
	_, instances = o.Instances[set]
	return flags, attributes, instances
}

// claim makes the file the origin of a set that has no other.
func (o overlay) claim(set string) {
	flags, attributes, instances := o.kinds(set)
	if _, unknown := o.Unknown[set]; !flags && !attributes && !instances && !unknown {
		o.Origins[set] = o.origin
	}
}

// mark notes that an element comes from the file.
func (o overlay) mark(set, element string) {
	delete(o.Unknown, set+"/"+element)
	o.Absent[set] = slices.DeleteFunc(o.Absent[set], func(e string) bool { return e == element })
	if o.Origins[set] == o.origin {
		delete(o.Origins, set+"/"+element)
		return
	}
	o.Origins[set+"/"+element] = o.origin
}

// empty makes the set known to have no elements. The file does not tell the kind
// of a set that is not known, so it gets all three.
func (o overlay) empty(set string) {
	flags, attributes, instances := o.kinds(set)
	anyKind := !flags && !attributes && !instances
	if flags || anyKind {
		o.Flags[set] = []string{}
	}
	if attributes || anyKind {
		o.Attributes[set] = map[string]string{}
	}
	if instances || anyKind {
		o.Instances[set] = []map[string]string{}
	}
	ofSet := func(name, _ string) bool { return name == set || strings.HasPrefix(name, set+"/") }
	maps.DeleteFunc(o.Unknown, ofSet)
	maps.DeleteFunc(o.Origins, ofSet)
	delete(o.Absent, set)
	o.Origins[set] = o.origin
}

// addInstance adds an instance, or replaces the one of the same name.
func (o overlay) addInstance(set string, attributes map[string]scalar) {
	instance := make(map[string]string, len(attributes))
	for name, value := range attributes {
		instance[name] = value.text
	}
	if name, hasName := instance["name"]; hasName {
		o.mark(set, name)
		same := func(other map[string]string) bool { return other["name"] == name }
		if i := slices.IndexFunc(o.Instances[set], same); i >= 0 {
			o.Instances[set][i] = instance
			return
		}
	}
	o.Instances[set] = append(o.Instances[set], instance)
}
