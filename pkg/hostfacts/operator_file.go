package hostfacts

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/imagefit/imagefit/pkg/tomlerr"
)

const operatorVersion = 1

// operatorFile is a file of facts.d. Sets are one quoted key each, because
// their names have a dot.
type operatorFile struct {
	Version    int                            `toml:"version"`
	Absent     []string                       `toml:"absent"`
	Flags      map[string][]string            `toml:"flags"`
	Attributes map[string]map[string]scalar   `toml:"attributes"`
	Instances  map[string][]map[string]scalar `toml:"instances"`
}

// scalar is a string, a number or a boolean, kept as it is written: 4.10 stays
// 4.10.
type scalar struct{ text string }

// UnmarshalText takes the value as the file has it.
func (s *scalar) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}

// parseOperatorFile returns errors with row and column, one a line.
func parseOperatorFile(data []byte) (operatorFile, error) {
	var file operatorFile
	if err := tomlerr.Decode(data, &file); err != nil {
		return operatorFile{}, decodeProblem(err)
	}
	if file.Version != operatorVersion {
		at := keyPosition(data, []string{"version"})
		if file.Version == 0 && at == "" {
			return operatorFile{}, errors.New("row 1, column 1: the file must begin with version = 1")
		}
		return operatorFile{}, fmt.Errorf("%sversion %d is not known, only %d is", at, file.Version, operatorVersion)
	}
	if err := file.validate(data); err != nil {
		return operatorFile{}, err
	}
	return file, nil
}

// decodeProblem says in the operator's words what a value must be, and how the
// name of a set is written.
func decodeProblem(err error) error {
	text := strings.NewReplacer(
		"map[string]hostfacts.scalar", "a table of values",
		"hostfacts.scalar", "a string, number or boolean",
		"[]string", "a list of strings",
	).Replace(err.Error())
	for _, kind := range []string{"flags", "attributes", "instances"} {
		if strings.Contains(text, "key "+kind+".") {
			return fmt.Errorf(`%s (the name of a set is one quoted key, such as "site.licences")`, text)
		}
	}
	return errors.New(text)
}

// validate checks the names, in the order of the alphabet so that of several
// bad ones the same is always named.
func (f operatorFile) validate(data []byte) error {
	for _, name := range f.Absent {
		set, element, isElement := strings.Cut(name, "/")
		if err := checkSet(set); err != nil {
			return fmt.Errorf("%s%w", keyPosition(data, []string{"absent"}), err)
		}
		if isElement && element == "" {
			return fmt.Errorf("%s%q has no element after the /", keyPosition(data, []string{"absent"}), name)
		}
	}
	for _, set := range slices.Sorted(maps.Keys(f.Flags)) {
		if err := checkNames(data, "flags", set, f.Flags[set]); err != nil {
			return err
		}
	}
	for _, set := range slices.Sorted(maps.Keys(f.Attributes)) {
		if err := checkNames(data, "attributes", set, slices.Sorted(maps.Keys(f.Attributes[set]))); err != nil {
			return err
		}
	}
	for _, set := range slices.Sorted(maps.Keys(f.Instances)) {
		if err := checkNames(data, "instances", set, nil); err != nil {
			return err
		}
	}
	return nil
}

func checkNames(data []byte, kind, set string, elements []string) error {
	if err := checkSet(set); err != nil {
		return fmt.Errorf("%s%w", keyPosition(data, []string{kind, set}), err)
	}
	if slices.Contains(elements, "") {
		return fmt.Errorf("%san element of %s has no name", keyPosition(data, []string{kind, set}), set)
	}
	return nil
}

// checkSet wants the form that all names of sets have: a family, a dot, a name.
func checkSet(set string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789_-."
	family, name, ok := strings.Cut(set, ".")
	if !ok || family == "" || name == "" || strings.Trim(set, allowed) != "" {
		return fmt.Errorf("%.64q is not the name of a set, such as site.licences", set)
	}
	return nil
}

// keyPosition returns "row R, column C: " of a key, or of as much of its path
// as the file has a line for; or nothing.
func keyPosition(data []byte, path []string) string {
	var p unstable.Parser
	p.Reset(data)
	var table []string
	best, position := 0, ""
	for p.NextExpression() {
		expression := p.Expression()
		full, at := []string{}, ""
		if expression.Kind == unstable.KeyValue {
			full = append(full, table...)
		}
		for key := expression.Key(); key.Next(); {
			full = append(full, string(key.Node().Data))
			if at == "" {
				start := p.Shape(key.Node().Raw).Start
				at = fmt.Sprintf("row %d, column %d: ", start.Line, start.Column)
			}
		}
		if expression.Kind != unstable.KeyValue {
			table = full
		}
		if n := commonPrefix(full, path); n > best {
			best, position = n, at
		}
	}
	return position
}

func commonPrefix(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
