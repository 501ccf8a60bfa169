package compat_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
)

func embedded(t *testing.T) *compat.Interpreter {
	t.Helper()
	specs, err := compat.EmbeddedSpecs()
	if err != nil {
		t.Fatal(err)
	}
	return compat.NewInterpreter(specs)
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func dialect(t testing.TB, name string) compat.Dialect {
	t.Helper()
	d, ok := compat.Named(name)
	if !ok {
		t.Fatal("no dialect ", name)
	}
	return d
}

// readAttributes returns the attributes of a body of Proposal F that is valid.
func readAttributes(t testing.TB, body []byte) ([]compat.Attribute, error) {
	t.Helper()
	d := dialect(t, compat.ProposalF)
	if reqs, err := d.Parse(compat.NewInterpreter(nil), body); err != nil {
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

func refused(t *testing.T, body []byte, want string) {
	t.Helper()
	got, err := readAttributes(t, body)
	if err == nil {
		t.Fatalf("was read: %v", got)
	}
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if got != nil {
		t.Errorf("half read: %v", got)
	}
}

// outline writes attributes as a document. Attributes of one group stand
// together in what was parsed.
func outline(t *testing.T, attributes []compat.Attribute) []byte {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"compatibilities":{`)
	for i, a := range attributes {
		switch {
		case i == 0:
			b.WriteString(text(t, a.Group) + ":{")
		case a.Group != attributes[i-1].Group:
			b.WriteString("}," + text(t, a.Group) + ":{")
		default:
			b.WriteString(",")
		}
		value := a.Value
		if a.Kind == compat.String {
			value = text(t, a.Value)
		}
		b.WriteString(text(t, a.Key) + ":" + value)
	}
	if len(attributes) > 0 {
		b.WriteString("}")
	}
	b.WriteString("}}")
	return []byte(b.String())
}

func text(t *testing.T, s string) string {
	t.Helper()
	quoted, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

// attributes is a document of n attributes.
func attributes(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"key-%d":"some text"`, i)
	}
	return `{"compatibilities":{"g":{` + strings.Join(list, ",") + `}}}`
}

func kindName(k compat.Kind) string { return [...]string{"string", "bool", "number"}[k] }

func describe(r compat.Requirement) string {
	s := r.Want() + " | " + r.Importance.String()
	if r.Weight != 0 {
		s += fmt.Sprintf(" %d", r.Weight)
	}
	if r.Unclear != "" {
		s += " | unclear: " + r.Unclear
	}
	return s
}

func describeAll(reqs []compat.Requirement) string {
	all := make([]string, len(reqs))
	for i, r := range reqs {
		all[i] = describe(r)
	}
	return strings.Join(all, "; ")
}

func kindOf(value string) compat.Kind {
	switch {
	case value == "true" || value == "false":
		return compat.Bool
	case value != "" && strings.Trim(value, "0123456789.e-") == "":
		return compat.Number
	default:
		return compat.String
	}
}
