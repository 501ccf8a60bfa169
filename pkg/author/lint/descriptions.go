package lint

import (
	"errors"
	"path"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// isDescriptions tells a file of images.d, in which an operator describes images,
// from a body.
func isDescriptions(file string) bool { return path.Ext(file) == ".toml" }

// descriptions looks at a file of images.d, and at each body in it.
func (r *run) descriptions(text []byte) {
	found, err := description.Parse(r.in, r.file, text)
	if err != nil {
		r.refusedTOML(err)
		return
	}
	for _, d := range found {
		for _, t := range d.Texts() {
			name := ""
			if t.Short {
				name = dialect.ProposalF
			}
			for _, f := range r.Lint("", t.Body, name) {
				f.File, f.Fixable, f.Edit = r.file, false, nil
				if f.Row += t.Row - 1; t.Short {
					f.Row, f.Column = t.Row, 1
				}
				r.findings = append(r.findings, f)
			}
		}
	}
}

// refusedTOML reports each mistake of the reader.
func (r *run) refusedTOML(err error) {
	all := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		all = several.Unwrap()
	}
	for _, err := range all {
		f := Finding{File: r.file, Row: 1, Column: 1, Severity: Error, Code: codeShape, Text: err.Error()}
		if at, ok := errors.AsType[tomlerr.ParseError](err); ok {
			f.Row, f.Column, f.Key, f.Text = max(at.Row, 1), max(at.Column, 1), at.Key, at.Message
		}
		r.findings = append(r.findings, f)
	}
}
