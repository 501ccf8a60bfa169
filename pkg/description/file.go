package description

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

const (
	version   = 1
	maxImages = 1000
)

// file is a file of images.d.
type file struct {
	Version int     `toml:"version"`
	Images  []image `toml:"image"`
}

type image struct {
	Source       string   `toml:"source"`
	Repositories []string `toml:"repositories"`
	Tags         []string `toml:"tags"`
	Digests      []string `toml:"digests"`
	Bases        []string `toml:"bases"`
	Platforms    []string `toml:"platforms"`
	Place        Place    `toml:"place"`
	Requires     []string `toml:"requires"`
	Body         string   `toml:"body"`
}

// Parse reads a file. name is where it is. One that has a mistake is not read at all;
// errors have a row.
func Parse(in *spec.Interpreter, name string, text []byte) ([]*Description, error) {
	var f file
	if err := tomlerr.Decode(text, &f); err != nil {
		return nil, err
	}
	tables := tomlerr.Tables(text, "image")
	switch {
	case f.Version != version:
		return nil, tomlerr.ParseError{Row: 1, Column: 1, Message: fmt.Sprintf("the file must begin with version = %d", version)}
	case len(f.Images) == 0:
		return nil, tomlerr.ParseError{Row: 1, Column: 1, Message: "the file has no [[image]]"}
	case len(f.Images) > maxImages:
		return nil, tomlerr.ParseError{Row: 1, Column: 1, Message: fmt.Sprintf("the file has %d images, more than the %d that are read", len(f.Images), maxImages)}
	case len(tables) != len(f.Images):
		return nil, tomlerr.ParseError{Row: 1, Column: 1, Message: "write each image as a table of its own, [[image]]"}
	}
	all := make([]*Description, len(f.Images))
	for i, img := range f.Images {
		r := reader{in: in, image: img, table: tables[i], text: text}
		d, err := r.description()
		if err != nil {
			return nil, err
		}
		d.File = name
		compat.Walk(d.Requirements, func(r *compat.Requirement) { r.Origin = d.Origin() })
		all[i] = d
	}
	return all, nil
}

// reader reads one image of a file.
type reader struct {
	in    *spec.Interpreter
	image image
	table tomlerr.Table
	text  []byte
}

// at is an error about a key.
func (r *reader) at(key string, err error) error {
	p := r.table.Position
	if known, ok := r.table.Keys[key]; ok {
		p = known
	}
	return tomlerr.ParseError{Row: p.Row, Column: p.Column, Key: "image." + key, Message: err.Error()}
}

func (r *reader) description() (*Description, error) {
	d := &Description{
		Row: r.table.Row, Source: textutil.Short(r.image.Source), Place: After,
	}
	if err := r.about(&d.about); err != nil {
		return nil, err
	}
	switch r.image.Place {
	case "":
	case After, Before, Instead:
		d.Place = r.image.Place
	default:
		return nil, r.at("place", fmt.Errorf("%s is not one of %s, %s, %s", textutil.Quote(string(r.image.Place)), After, Before, Instead))
	}
	if err := r.short(d); err != nil {
		return nil, err
	}
	if err := r.body(d); err != nil {
		return nil, err
	}
	if len(d.texts) == 0 && d.Place != Instead {
		return nil, r.at("requires", errors.New("nothing is required: state requires or body"))
	}
	return d, nil
}

func (r *reader) about(a *about) error {
	for _, list := range []struct {
		key   string
		texts []string
		valid func(string) error
		into  *patterns
	}{
		{"repositories", r.image.Repositories, repository, &a.repositories},
		{"tags", r.image.Tags, anything, &a.tags},
		{"platforms", r.image.Platforms, platform, &a.platforms},
		{"bases", r.image.Bases, base, &a.bases},
	} {
		var err error
		if *list.into, err = compile(list.texts, list.valid); err != nil {
			return r.at(list.key, err)
		}
	}
	for _, text := range r.image.Digests {
		d := digest.Digest(text)
		if d.Validate() != nil || d.Algorithm() != digest.SHA256 {
			return r.at("digests", fmt.Errorf("%s is not a sha256 digest", textutil.Quote(text)))
		}
		a.digests = append(a.digests, d)
	}
	if len(a.repositories)+len(a.bases)+len(a.digests) == 0 {
		return r.at("repositories", errors.New("no image is meant: state repositories, bases or digests"))
	}
	return nil
}

// short reads the short form: properties, each of which means an attribute.
func (r *reader) short(d *Description) error {
	row := r.table.Row
	if p, ok := r.table.Keys["requires"]; ok {
		row = p.Row
	}
	for _, text := range r.image.Requires {
		p, err := dialect.ParseProperty(text)
		if err != nil || p.IsNull() {
			return r.at("requires", fmt.Errorf("%s is not namespace :: feature :: value", textutil.Quote(text)))
		}
		a := p.Attribute()
		d.Requirements = append(d.Requirements, r.in.Requirements([]compat.Attribute{a})...)
		var value any = a.Value
		if a.Kind != compat.String && json.Valid([]byte(a.Value)) {
			value = json.RawMessage(a.Value)
		}
		body, err := json.Marshal(map[string]any{"compatibilities": map[string]any{a.Group: map[string]any{a.Key: value}}})
		if err != nil {
			return r.at("requires", err)
		}
		d.texts = append(d.texts, Text{Row: row, Body: body, Short: true})
	}
	return nil
}

// body reads a body of any dialect.
func (r *reader) body(d *Description) error {
	if r.image.Body == "" {
		return nil
	}
	body := []byte(r.image.Body)
	of, ok := dialect.Detect("", "", body)
	reqs, err := of.Parse(r.in, body)
	if err == nil && !ok {
		err = errors.New("not a form that imagefit reads")
	}
	if err != nil {
		return r.at("body", fmt.Errorf("read as %s: %w", of.Name, err))
	}
	d.Requirements = append(d.Requirements, reqs...)
	d.texts = append(d.texts, Text{Row: r.bodyRow(), Body: body})
	return nil
}

// bodyRow is the row of the first line of the body. TOML drops a line end behind the
// quotes that begin a text of several lines.
func (r *reader) bodyRow() int {
	row := r.table.Keys["body"].Row
	lines := bytes.Split(r.text, []byte("\n"))
	if row < 1 || row > len(lines) {
		return r.table.Row
	}
	line := strings.TrimSpace(string(lines[row-1]))
	if slices.ContainsFunc([]string{`'''`, `"""`}, func(quotes string) bool { return strings.HasSuffix(line, quotes) }) {
		row++
	}
	return row
}
