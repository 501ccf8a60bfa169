package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
)

// Page is one HTML page.
type Page struct {
	Title string
	Lead  []string // paragraphs below the title: of what, from when
	Parts []Part
}

// Part is a section of a page: a Table, a Plot or a Matrix.
type Part interface {
	// section returns the part as the template shows it.
	section() (section, error)
}

// section is one part as the template shows it; of the fields below Note one is set.
type section struct {
	Heading string
	Note    string
	Table   *Table
	Plot    *drawing
	Matrix  *matrixView
}

//go:embed assets
var assets embed.FS

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	view := struct {
		Page
		Policy   string
		Style    template.CSS
		Script   template.JS
		Sections []section
	}{Page: p}
	style, script, err := readAssets()
	if err != nil {
		return err
	}
	//nolint:gosec // both are files of this package
	view.Style, view.Script = template.CSS(style), template.JS(script)
	view.Policy = fmt.Sprintf("default-src 'none'; base-uri 'none'; form-action 'none'; style-src %s; script-src %s",
		sourceOf(style), sourceOf(script))
	for _, part := range p.Parts {
		s, err := part.section()
		if err != nil {
			return fmt.Errorf("write the page %q: %w", p.Title, err)
		}
		view.Sections = append(view.Sections, s)
	}
	layout, err := template.ParseFS(assets, "assets/page.html.tmpl")
	if err != nil {
		return err
	}
	return layout.Execute(w, view)
}

func readAssets() (style, script []byte, err error) {
	if style, err = assets.ReadFile("assets/page.css"); err != nil {
		return nil, nil, err
	}
	script, err = assets.ReadFile("assets/page.js")
	return style, script, err
}

// sourceOf names a text as content security policies do.
func sourceOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
