package operator

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/tomlerr"
)

const version = 1

// file is a file of facts.d. The name of a set is one quoted key, because it has
// a dot.
type file struct {
	Version    int                            `toml:"version"`
	Absent     []string                       `toml:"absent"`
	Flags      map[string][]string            `toml:"flags"`
	Attributes map[string]map[string]scalar   `toml:"attributes"`
	Instances  map[string][]map[string]scalar `toml:"instances"`
}

// scalar is a string, a number or a boolean, kept as it is written: 4.10 does
// not become 4.1.
type scalar struct{ text string }

// UnmarshalText takes the value as the file has it.
func (s *scalar) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}

// parse returns errors with row and column, one a line.
func parse(data []byte) (file, error) {
	var f file
	if err := tomlerr.Decode(data, &f); err != nil {
		return file{}, decodeProblem(err)
	}
	at := tomlerr.Positions(data)
	if _, stated := at["version"]; !stated && f.Version == 0 {
		return file{}, tomlerr.ParseError{Row: 1, Column: 1, Message: "the file must begin with version = 1"}
	}
	problem := func(key ...string) tomlerr.ParseError {
		p, ok := at[tomlerr.Key(key)]
		if !ok {
			p = at[key[0]]
		}
		return tomlerr.ParseError{Row: p.Row, Column: p.Column}
	}
	if f.Version != version {
		p := problem("version")
		p.Message = fmt.Sprintf("version %d is not supported, only %d is", f.Version, version)
		return file{}, p
	}
	return f, f.validate(problem)
}

// decodeProblem explains what a value must be without Go's types, and how the name
// of a set is written.
func decodeProblem(err error) error {
	text := strings.NewReplacer(
		"map[string]operator.scalar", "a table of values",
		"operator.scalar", "a string, number or boolean",
		"[]string", "a list of strings",
	).Replace(err.Error())
	for _, kind := range []string{"flags", "attributes", "instances"} {
		if strings.Contains(text, "key "+kind+".") {
			return fmt.Errorf(`%s (the name of a set is one quoted key, such as "site.licences")`, text)
		}
	}
	return errors.New(text)
}

// validate checks the names of sets and elements, in alphabetical order so that
// of several bad ones the same is always reported. The problem returned has the
// position that at gives for the key.
func (f file) validate(at func(key ...string) tomlerr.ParseError) error {
	check := func(set string, elements []string, key ...string) error {
		p := at(key...)
		switch {
		case !isSetName(set):
			p.Message = fmt.Sprintf("%.64q is not the name of a set, such as site.licences", set)
		case slices.Contains(elements, ""):
			p.Message = fmt.Sprintf("an element of %s has no name", set)
		default:
			return nil
		}
		return p
	}
	var problems []error
	for _, name := range f.Absent {
		set, element, isElement := strings.Cut(name, "/")
		if !isElement {
			element = "the whole set"
		}
		problems = append(problems, check(set, []string{element}, "absent"))
	}
	for _, set := range slices.Sorted(maps.Keys(f.Flags)) {
		problems = append(problems, check(set, f.Flags[set], "flags", set))
	}
	for _, set := range slices.Sorted(maps.Keys(f.Attributes)) {
		problems = append(problems, check(set, slices.Collect(maps.Keys(f.Attributes[set])), "attributes", set))
	}
	for _, set := range slices.Sorted(maps.Keys(f.Instances)) {
		problems = append(problems, check(set, nil, "instances", set))
	}
	return cmp.Or(problems...)
}

// isSetName reports whether set has the form of all names of sets: a family, a dot,
// a name.
func isSetName(set string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789_-."
	family, name, _ := strings.Cut(set, ".")
	return family != "" && name != "" && strings.Trim(set, allowed) == ""
}
