package author

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// Linter looks for mistakes in what images ask for.
type Linter struct {
	specs []compat.Spec
	in    *compat.Interpreter
	words *vocabulary
}

// NewLinter returns a linter for which attributes mean what the specs say.
func NewLinter(specs []compat.Spec) *Linter {
	return &Linter{specs: specs, in: compat.NewInterpreter(specs), words: newVocabulary()}
}

// Lint returns what is wrong with the body of an artifact, or with an artifact
// manifest, in the order of the text. The dialect is told by the shape; a name
// that is not empty is taken instead.
func (l *Linter) Lint(file string, body []byte, dialect string) []Finding {
	r := &run{Linter: l, file: file, body: body}
	root, err := parseDocument(body)
	if err != nil {
		r.syntax(err)
		return r.findings
	}
	r.annotations(root, isManifest(root))
	if isManifest(root) && dialect == "" {
		return sortFindings(r.findings)
	}
	r.dialect = dialect
	if dialect == "" {
		r.dialect = dialectOf(root)
	}
	if r.dialect == "" {
		r.at(root, codeShape).say("", "this is none of the forms that imagefit reads", `an object with "compatibilities"`)
		return sortFindings(r.findings)
	}
	r.document(root)
	r.parse()
	return sortFindings(r.findings)
}

// run is the work on one document.
type run struct {
	*Linter
	file     string
	body     []byte
	dialect  string
	findings []Finding
}

// document looks at what the parser of the dialect does not.
func (r *run) document(root *node) {
	switch r.dialect {
	case dialectNFD:
		r.nfd(root)
	case dialectOcifit:
		r.ocifit(root)
	default:
		for _, scope := range attributesIn(r.dialect, root, r.empty) {
			r.attributes(scope)
		}
	}
}

// parse lets the parser of the dialect have the last word. Of what it refuses
// nothing more is said where that row has an error already.
func (r *run) parse() {
	all := compat.Dialects()
	i := slices.IndexFunc(all, func(d compat.Dialect) bool { return d.Name == r.dialect })
	if i < 0 {
		return
	}
	_, err := all[i].Parse(r.in, r.body)
	if err == nil {
		return
	}
	row, column, text := splitPlace(err)
	for _, f := range r.findings {
		if f.Row == row && f.Severity == Error || f.Code == codeOperatorValues && f.Row >= row && f.Row <= row+3 {
			return
		}
	}
	r.findings = append(r.findings, Finding{File: r.file, Row: row, Column: column, Severity: Error, Code: codeShape, Text: text})
}

// splitPlace takes apart an error that begins with a row and a column.
func splitPlace(err error) (row, column int, text string) {
	found := regexp.MustCompile(`^row (\d+)(?:, column (\d+))?: `).FindStringSubmatch(err.Error())
	if found == nil {
		return 1, 1, err.Error()
	}
	row, rowErr := strconv.Atoi(found[1])
	column, columnErr := strconv.Atoi(found[2])
	if rowErr != nil {
		row = 1
	}
	if columnErr != nil {
		column = 1
	}
	return row, column, err.Error()[len(found[0]):]
}

func (r *run) syntax(err error) {
	f := Finding{File: r.file, Row: 1, Column: 1, Severity: Error, Code: codeSyntax, Text: err.Error()}
	if at, ok := errors.AsType[*syntaxError](err); ok {
		f.Row, f.Column, f.Text = at.row, at.column, at.text
	}
	r.findings = append(r.findings, f)
}

// report is a finding in the making.
type report struct {
	run      *run
	node     *node
	code     string
	severity Severity
	fix      *Edit
}

func (r *run) at(n *node, code string) *report {
	severity := Error
	for _, c := range Codes() {
		if c.Name == code {
			severity = c.Severity
		}
	}
	return &report{run: r, node: n, code: code, severity: severity}
}

func (p *report) as(s Severity) *report { p.severity = s; return p }

func (p *report) fixed(text string) *report { p.fix = p.node.edit(text); return p }

func (p *report) say(key, text, expected string) {
	row, column := place(p.run.body, p.node.start)
	p.run.findings = append(p.run.findings, Finding{
		File: p.run.file, Row: row, Column: column, Severity: p.severity, Code: p.code,
		Key: cut(key), Text: cut(text), Expected: cut(expected), Fixable: p.fix != nil, Edit: p.fix,
	})
}

func (r *run) empty(n *node, what string) {
	r.at(n, codeEmptyRule).say(what, what+" asks nothing", "")
}

// The dialects that are looked at in a way of their own.
const (
	dialectOutline  = "proposal-f"
	dialectNFD      = "nfd-v1alpha1"
	dialectOcifit   = "ocifit"
	dialectCompspec = "compspec"
	dialectGraph    = "proposal-b"
	dialectFlat     = "proposal-h"
	dialectBody     = "proposal-j"
)

// dialectOf tells the dialect of a document by its shape.
func dialectOf(root *node) string {
	list := root.field("compatibilities")
	switch {
	case root.field("spec").field("compatibilities") != nil:
		return dialectGraph
	case root.field("kind") != nil, list == nil && root.field("attributes") != nil:
		return dialectCompspec
	case list == nil && root.field("version").text() == "v1alpha1":
		return dialectNFD
	case list == nil:
		return ""
	case list.kind == mapping:
		return dialectOutline
	case hasRules(list):
		if isOcifit(list) {
			return dialectOcifit
		}
		return dialectNFD
	case root.field("mediaType") != nil || root.field("schemaVersion") != nil:
		return dialectBody
	case root.field("version") != nil:
		return dialectNFD
	default:
		return dialectFlat
	}
}

func hasRules(list *node) bool {
	return slices.ContainsFunc(list.members(), func(set *node) bool { return set.key("rules") != nil })
}

// isOcifit looks for expressions that stand in a list and have a key.
func isOcifit(list *node) bool {
	for _, set := range list.members() {
		for _, rule := range set.field("rules").members() {
			if rule.key("matchModel") != nil {
				return true
			}
			for _, f := range rule.field("matchFeatures").members() {
				for _, e := range f.field("matchExpressions").members() {
					if e.key("key") != nil {
						return true
					}
				}
			}
		}
	}
	return false
}

// isManifest tells the manifest of an artifact, or an index, from its body.
func isManifest(root *node) bool {
	return root.key("layers") != nil || root.key("manifests") != nil || root.key("artifactType") != nil ||
		strings.HasPrefix(root.field("mediaType").text(), "application/vnd.oci.image.manifest.")
}

func quoted(s string) string { return fmt.Sprintf("%q", cut(s)) }
