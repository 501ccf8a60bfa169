// Package compattest has what tests of requirements share: samples, hosts to
// evaluate them on, and the description of a requirement in one line.
package compattest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// Testdata has the samples that the tests below package compat share.
const Testdata = "../testdata"

// ReadFile reads a file of Testdata.
func ReadFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(Testdata, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Attributes returns the attributes of a body of Proposal F that is valid.
func Attributes(t testing.TB, body []byte) ([]compat.Attribute, error) {
	t.Helper()
	d := Dialect(t, dialect.ProposalF)
	if reqs, err := d.Parse(spec.NewInterpreter(nil), body); err != nil {
		if reqs != nil {
			t.Errorf("half read: %v", reqs)
		}
		return nil, err
	}
	root, err := d.Read(body)
	if err != nil {
		return nil, err
	}
	return d.Attributes(root)[0].Plain(), nil
}

// Describe is what a requirement asks for, its importance and why it is unclear.
func Describe(r compat.Requirement) string {
	s := r.Want() + " | " + r.Importance.String()
	if r.Weight != 0 {
		s += fmt.Sprintf(" %d", r.Weight)
	}
	if r.Unclear != "" {
		s += " | unclear: " + r.Unclear
	}
	return s
}

// DescribeAll is Describe of several requirements, in one line.
func DescribeAll(reqs []compat.Requirement) string {
	all := make([]string, len(reqs))
	for i, r := range reqs {
		all[i] = Describe(r)
	}
	return strings.Join(all, "; ")
}

// KindOf is the kind of an attribute whose value is written so in JSON.
func KindOf(value string) compat.Kind {
	switch {
	case value == "true" || value == "false":
		return compat.Bool
	case value != "" && strings.Trim(value, "0123456789.e-") == "":
		return compat.Number
	default:
		return compat.String
	}
}

// Dialect returns the dialect of a name.
func Dialect(t testing.TB, name string) dialect.Dialect {
	t.Helper()
	d, ok := dialect.Named(name)
	if !ok {
		t.Fatal("no dialect ", name)
	}
	return d
}
