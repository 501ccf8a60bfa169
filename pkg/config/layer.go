package config

import (
	"errors"
	"fmt"

	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// layer is the TOML text of one source.
type layer struct {
	source    string // the path of a file, the name of a variable, or the flag
	text      []byte
	rows      bool // a row of the text means something to whom wrote it
	versioned bool // the text has to state the version
}

// Problem is one mistake in a configuration, and where it was made.
type Problem struct {
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
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []Problem
		for _, one := range joined.Unwrap() {
			all = append(all, Problems(one)...)
		}
		return all
	}
	if p, ok := errors.AsType[Problem](err); ok {
		return []Problem{p}
	}
	return []Problem{{ParseError: tomlerr.ParseError{Message: err.Error()}}}
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

// load lays the layers over each other and validates the whole, unless some of
// it could not be read at all.
func load(layers []layer, problems []error) (*Loaded, error) {
	l := &Loaded{Config: Default(), origins: map[string]origin{}}
	whole := true
	for _, layer := range layers {
		err := l.lay(layer)
		if err != nil && !errors.Is(err, tomlerr.ErrUnknownKey) {
			whole = false
		}
		problems = append(problems, err)
		if layer.rows {
			l.Files = append(l.Files, layer.source)
		}
	}
	if whole {
		problems = append(problems, l.validate())
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return l, nil
}

// lay puts a layer over the earlier ones: tables are merged,
// values and lists replaced.
func (l *Loaded) lay(from layer) error {
	c := &l.Config
	below := c.Policy.Repositories
	c.Policy.Repositories = map[string]policy.Answers{}
	if from.versioned {
		c.Version = 0
	}
	err := tomlerr.Decode(from.text, c)
	if c.Version != version && (err == nil || errors.Is(err, tomlerr.ErrUnknownKey)) {
		// A later shape has keys that are unknown here: they are not the point.
		err = tomlerr.ParseError{Key: "version", Message: fmt.Sprintf("is %d, expected %d as the first line: version = %[2]d", c.Version, version)}
	}
	c.Version = version
	for prefix, answers := range c.Policy.Repositories {
		below[prefix] = below[prefix].Under(answers)
	}
	c.Policy.Repositories = below
	for key, at := range tomlerr.Positions(from.text) {
		if !from.rows {
			at.Row = 0
		}
		l.origins[key] = origin{from.source, at.Row}
	}
	return from.problems(err)
}

// problems says of each mistake in which source it was made.
func (from layer) problems(err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, from.problems(one))
		}
		return errors.Join(all...)
	}
	p, ok := errors.AsType[tomlerr.ParseError](err)
	if !ok {
		p.Message = err.Error()
	}
	if !from.rows {
		p.Row, p.Column = 0, 0
	}
	return Problem{Source: from.source, ParseError: p}
}

// validate says of each value that cannot be used where it was set.
func (l *Loaded) validate() error {
	stated := func(key string) bool { _, ok := l.origins[key]; return ok }
	var all []error
	for _, p := range validate(l.Config, stated) {
		o := l.origins[p.Key]
		p.Row = o.row
		all = append(all, Problem{Source: o.source, ParseError: p})
	}
	return errors.Join(all...)
}
