package lint

import (
	"errors"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Linter looks for mistakes in what images ask for.
type Linter struct {
	specs []spec.Spec
	in    *spec.Interpreter
	words *vocabulary
}

// New returns a linter for which attributes mean what the specs say.
func New(specs []spec.Spec) *Linter {
	return &Linter{specs: specs, in: spec.NewInterpreter(specs), words: newVocabulary()}
}

// Lint returns what is wrong with the body of an artifact, with an artifact manifest, or
// with a file of images.d (*.toml), in the order of the text. The dialect is detected by the shape unless
// it is named.
func (l *Linter) Lint(file string, body []byte, dialect string) []Finding {
	r := &run{Linter: l, file: file}
	if isDescriptions(file) && dialect == "" {
		r.descriptions(body)
		return sortFindings(r.findings)
	}
	root, err := document.Parse(body)
	if err != nil {
		r.refused(err)
		return r.findings
	}
	r.annotations(root, isManifest(root))
	if !isManifest(root) || dialect != "" {
		r.body(body, root, dialect)
	}
	return sortFindings(r.findings)
}

// run is the work on one document.
type run struct {
	*Linter
	file     string
	findings []Finding
}

func (r *run) body(body []byte, root *document.Node, name string) {
	d, ok := dialect.Named(name)
	if name == "" {
		d, ok = dialect.Detect("", "", body)
	}
	if is, instead := dialect.RuleObject(root); is != "" {
		r.at(root.Field("kind"), codeShape).say("", is, instead)
		return
	}
	if !ok {
		r.at(root, codeShape).say("", "this is not one of the forms that imagefit reads", `an object with "compatibilities"`)
		return
	}
	if _, err := d.Read(body); err != nil { // YAML, in a dialect of JSON
		r.refused(err)
		return
	}
	switch d.Name {
	case dialect.NFD:
		r.nfd(root)
	case dialect.Ocifit:
		r.ocifit(root)
	default:
		if d.Attributes != nil {
			r.scopes(d.Attributes(root), root)
		}
	}
	reqs, err := d.Requirements(r.in, root)
	if err != nil {
		r.refused(err)
		return
	}
	if problem := selector.BodyProblem(len(body), reqs); problem != "" {
		r.at(root, codeTooCostly).say("", problem, "fewer or simpler regular expressions, fewer values, a smaller file")
	}
}

// refused reports the error of a parser, which has the last word. Where that row
// has an error already, it would only say the same in other words.
func (r *run) refused(err error) {
	f := Finding{File: r.file, Row: 1, Column: 1, Severity: Error, Code: codeShape, Text: err.Error()}
	if document.IsSyntax(err) {
		f.Code = codeSyntax
	}
	if at, ok := errors.AsType[*document.Error](err); ok {
		f.Row, f.Column, f.Text = max(at.Row, 1), max(at.Column, 1), at.Err.Error()
	}
	f.Text = document.Plain(f.Text)
	for _, known := range r.findings {
		if known.Row == f.Row && known.Severity == Error ||
			known.Code == codeOperatorValues && known.Row >= f.Row && known.Row <= f.Row+3 {
			return
		}
	}
	r.findings = append(r.findings, f)
}

// report is a finding in the making.
type report struct {
	run      *run
	node     *document.Node
	code     string
	severity Severity
	fix      *Edit
}

func (r *run) at(n *document.Node, code string) *report {
	severity := Error
	for _, c := range Codes() {
		if c.Name == code {
			severity = c.Severity
		}
	}
	return &report{run: r, node: n, code: code, severity: severity}
}

func (p *report) as(s Severity) { p.severity = s }

func (p *report) fixed(text string) *report { p.fix = editOf(p.node, text); return p }

func (p *report) say(key, text, expected string) {
	p.run.findings = append(p.run.findings, Finding{
		File: p.run.file, Row: p.node.Row, Column: p.node.Column, Severity: p.severity, Code: p.code,
		Key: textutil.Short(key), Text: textutil.Short(text), Expected: textutil.Short(expected), Fixable: p.fix != nil, Edit: p.fix,
	})
}

func (r *run) empty(n *document.Node, what string) {
	r.at(n, codeEmptyRule).say(what, what+" requires nothing", "")
}

// isManifest tells the manifest of an artifact, or an index, from its body.
func isManifest(root *document.Node) bool {
	return root.Key("layers") != nil || root.Key("manifests") != nil || root.Key("artifactType") != nil ||
		strings.HasPrefix(root.Field("mediaType").Text(), "application/vnd.oci.image.manifest.")
}
