package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// layer is the TOML text of one source, or why it has none.
type layer struct {
	source    string // the path of a file, the name of a variable, or the flag
	text      []byte
	err       error
	rows      bool // a row of the text means something to whom wrote it
	versioned bool // the text has to state the version
}

// Problem is one mistake in a configuration, and where it was made.
type Problem struct { //nolint:errname // it is one of those that Problems returns
	Source string `json:"source,omitempty"`
	tomlerr.ParseError
}

// Error says where, then what.
func (p Problem) Error() string {
	if p.Source == "" {
		return p.ParseError.Error()
	}
	return p.Source + ": " + p.ParseError.Error()
}

// Unwrap returns the problem without its source.
func (p Problem) Unwrap() error { return p.ParseError }

// Problems takes an error of Load apart.
func Problems(err error) []Problem {
	if err == nil {
		return nil
	}
	var all []Problem
	for _, one := range apart(err) {
		p, ok := errors.AsType[Problem](one)
		if !ok {
			p.ParseError, ok = errors.AsType[tomlerr.ParseError](one)
		}
		if !ok {
			p.Message = one.Error()
		}
		all = append(all, p)
	}
	return all
}

// apart returns the errors that are joined, at any depth.
func apart(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, apart(one)...)
	}
	return all
}

// Loaded is a configuration that can be used, and where its values come from.
type Loaded struct {
	Config  Config
	Files   []string // those that were read, the later overriding the earlier
	origins map[string]origin
}

// origin is where a value was set.
type origin struct {
	source string
	row    int // 0 where it means nothing
}

// Origin tells where the value of a key was set: FILE:ROW, env NAME, a flag, or
// default.
func (l *Loaded) Origin(key string) string {
	o, ok := l.origins[key]
	switch {
	case !ok:
		return "default"
	case o.row > 0:
		return fmt.Sprintf("%s:%d", o.source, o.row)
	}
	return o.source
}

// load lays the layers over each other and validates what they come to. Mistakes in
// values are found in a layer that cannot be read to its end too.
func load(layers []layer) (*Loaded, error) {
	l := &Loaded{Config: Default(), origins: map[string]origin{}}
	var problems []error
	whole := true
	for _, layer := range layers {
		err := layer.err
		if err == nil {
			err = l.lay(layer)
			whole = whole && !slices.ContainsFunc(Problems(err), func(p Problem) bool { return p.Syntax })
		}
		problems = append(problems, layer.problems(err)...)
		if layer.rows {
			l.Files = append(l.Files, layer.source)
		}
	}
	problems = append(problems, l.validate()...)
	if whole {
		problems = append(problems, l.validateTogether()...)
	}
	if len(problems) > 0 {
		return nil, inOrder(problems, layers)
	}
	return l, nil
}

// inOrder joins problems by layer and row.
func inOrder(problems []error, layers []layer) error {
	at := func(err error) (source, row int) {
		p, _ := errors.AsType[Problem](err)
		return slices.IndexFunc(layers, func(l layer) bool { return l.source == p.Source }), p.Row
	}
	slices.SortStableFunc(problems, func(a, b error) int {
		sourceA, rowA := at(a)
		sourceB, rowB := at(b)
		return cmp.Or(cmp.Compare(sourceA, sourceB), cmp.Compare(rowA, rowB))
	})
	return errors.Join(problems...)
}

// lay puts a layer over the earlier ones: tables are merged,
// values and lists replaced.
func (l *Loaded) lay(from layer) error {
	c := &l.Config
	repositories, namespaces, trusts := c.Policy.Repositories, c.Policy.Namespaces, c.Trust.Repositories
	c.Policy.Repositories, c.Policy.Namespaces, c.Trust.Repositories = map[string]policy.Answers{}, map[string]string{}, map[string]TrustRule{}
	if from.versioned {
		c.Version = 0
	}
	err := tomlerr.Decode(from.text, c)
	stops := func(p Problem) bool { return p.Syntax || p.Key == "version" }
	if c.Version != version && !slices.ContainsFunc(Problems(err), stops) {
		// A later shape has keys that are unknown here: they are not the point.
		err = tomlerr.ParseError{Key: "version", Message: fmt.Sprintf("is %d, expected %d as the first line: version = %[2]d", c.Version, version)}
	}
	c.Version = version
	for prefix, answers := range c.Policy.Repositories {
		repositories[prefix] = repositories[prefix].Under(answers)
	}
	for prefix, rule := range c.Trust.Repositories {
		trusts[prefix] = over(trusts[prefix], rule)
	}
	maps.Copy(namespaces, c.Policy.Namespaces)
	c.Policy.Repositories, c.Policy.Namespaces, c.Trust.Repositories = repositories, namespaces, trusts
	for key, at := range tomlerr.Positions(from.text) {
		if !from.rows {
			at.Row = 0
		}
		l.origins[key] = origin{from.source, at.Row}
	}
	return err
}

// problems says of each mistake in which source it was made.
func (from layer) problems(err error) []error {
	var all []error
	for _, p := range Problems(err) {
		if !from.rows {
			p.Row, p.Column = 0, 0
		}
		p.Source = from.source
		all = append(all, p)
	}
	return all
}
