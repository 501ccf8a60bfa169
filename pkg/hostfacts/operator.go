package hostfacts

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
	// operatorDir holds what the operator says of the node.
	operatorDir      = "etc/imagefit/facts.d"
	maxOperatorFile  = 256 << 10
	maxOperatorFiles = 1024
)

// addOperatorFacts lays what the operator says over what was found, file by
// file in the order of their names. A bad file is named among the problems and
// passed over as a whole.
func addOperatorFacts(root Root, all *facts.Features) {
	names, err := root.ReadDir(operatorDir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		all.Problems = append(all.Problems, causeOf(err))
		return
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasSuffix(name, ".toml") || strings.HasPrefix(name, ".")
	})
	if len(names) > maxOperatorFiles {
		all.Problems = append(all.Problems, fmt.Sprintf("%s: %d files, and only the first %d are read",
			root.display(operatorDir), len(names), maxOperatorFiles))
		names = names[:maxOperatorFiles]
	}
	for _, name := range names {
		file, err := readOperatorFile(root, operatorDir+"/"+name)
		if err != nil {
			all.Problems = append(all.Problems, err.Error())
			continue
		}
		overlay{all, "/" + operatorDir + "/" + name}.lay(file)
	}
}

// readOperatorFile returns errors that name the file as the operator sees it.
func readOperatorFile(root Root, name string) (operatorFile, error) {
	data, err := root.ReadHead(name, maxOperatorFile+1)
	if err == nil && len(data) > maxOperatorFile {
		err = root.pathError("read", name, fmt.Errorf("larger than %d bytes", maxOperatorFile))
	}
	if err != nil {
		return operatorFile{}, errors.New(causeOf(err))
	}
	file, err := parseOperatorFile(data)
	if err != nil {
		problem := strings.ReplaceAll(err.Error(), "\n", "; ")
		return operatorFile{}, fmt.Errorf("%s: %s", root.display(name), problem)
	}
	return file, nil
}

// overlay lays one file over the features found so far.
type overlay struct {
	*facts.Features
	origin string
}

// lay takes away first and adds then, so that one file can replace a set.
func (o overlay) lay(file operatorFile) {
	for _, name := range file.Absent {
		if set, element, isElement := strings.Cut(name, "/"); isElement {
			o.remove(set, element)
		} else {
			o.empty(set)
		}
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
		delete(o.Unknown, set) // a list is known or not; this one now is
		for _, instance := range instances {
			o.addInstance(set, instance)
		}
	}
}

// claim makes the file the origin of a set that nobody else knows.
func (o overlay) claim(set string) {
	_, isFlags := o.Flags[set]
	_, isAttributes := o.Attributes[set]
	_, isInstances := o.Instances[set]
	_, isUnknown := o.Unknown[set]
	if !isFlags && !isAttributes && !isInstances && !isUnknown {
		o.Origins[set] = o.origin
	}
}

// mark notes that an element is the operator's.
func (o overlay) mark(set, element string) {
	delete(o.Unknown, set+"/"+element)
	o.Absent[set] = slices.DeleteFunc(o.Absent[set], func(e string) bool { return e == element })
	if o.Origins[set] == o.origin {
		delete(o.Origins, set+"/"+element)
		return
	}
	o.Origins[set+"/"+element] = o.origin
}

func (o overlay) remove(set, element string) {
	if flags, ok := o.Flags[set]; ok {
		o.Flags[set] = slices.DeleteFunc(flags, func(flag string) bool { return flag == element })
	}
	delete(o.Attributes[set], element)
	o.mark(set, element)
	o.Absent[set] = append(o.Absent[set], element)
}

// empty makes the set known to hold nothing. What kind of set one is that
// nobody knows, the file does not say.
func (o overlay) empty(set string) {
	prefix := set + "/"
	ofSet := func(name, _ string) bool { return name == set || strings.HasPrefix(name, prefix) }
	_, isFlags := o.Flags[set]
	_, isAttributes := o.Attributes[set]
	_, isInstances := o.Instances[set]
	anyKind := !isFlags && !isAttributes && !isInstances
	if isFlags || anyKind {
		o.Flags[set] = []string{}
	}
	if isAttributes || anyKind {
		o.Attributes[set] = map[string]string{}
	}
	if isInstances || anyKind {
		o.Instances[set] = []map[string]string{}
	}
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
	name, hasName := instance["name"]
	if hasName {
		o.mark(set, name)
		same := func(other map[string]string) bool { return other["name"] == name }
		if i := slices.IndexFunc(o.Instances[set], same); i >= 0 {
			o.Instances[set][i] = instance
			return
		}
	}
	o.Instances[set] = append(o.Instances[set], instance)
}
