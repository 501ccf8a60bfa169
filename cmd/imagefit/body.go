package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/author/lint"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// bodyReader reads the files that are attached to images.
type bodyReader struct {
	cmd                *cobra.Command
	specs              []spec.Spec
	interpreter        *spec.Interpreter
	dialect, layerType string
	force              bool // take files with errors as well
	step               func(string)
	note               func(format string, args ...any)
}

// open reads a file, or stdin for "-".
func (r *bodyReader) open(file string) (attach.Body, error) {
	text, err := readBounded(file, r.cmd.InOrStdin(), maxSpecFile)
	if err != nil {
		return attach.Body{}, err
	}
	title := ""
	if file != "-" {
		title = filepath.Base(file)
	}
	return r.read(file, title, text)
}

// read holds a text against its dialect, and prints what lint finds in it. One with
// errors is refused.
func (r *bodyReader) read(name, title string, text []byte) (attach.Body, error) {
	d, named := dialect.Named(r.dialect)
	if !named {
		d, _ = dialect.Detect("", "", text) // its parser says what is wrong
	}
	body, err := attach.NewBody(title, text, d, r.layerType, r.interpreter)
	if err != nil {
		return attach.Body{}, fmt.Errorf("%s: %w", name, err)
	}
	r.step(fmt.Sprintf("%s: %s, requirements: %d", name, d.Name, len(body.Requirements)))
	if len(body.Requirements) == 0 {
		r.note("%s requires nothing", name)
	}
	mistakes := 0
	for _, f := range lint.New(r.specs).Lint(name, text, r.dialect) {
		r.cmd.PrintErrln(printable(f.String()))
		if f.Severity == lint.Error {
			mistakes++
		}
	}
	if mistakes > 0 && !r.force {
		return attach.Body{}, fmt.Errorf("%s: not pushed, lint finds %s in it: correct the file, or push it as it is with --force",
			name, counted(mistakes, "error"))
	}
	for _, unclear := range body.Unclear() {
		r.note("%s: no compatibility spec on this machine defines %s", name, unclear)
	}
	return body, nil
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
