package spec_test

import (
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

func TestSchemaGraphIsReadAsASpec(t *testing.T) {
	t.Parallel()
	s, err := spec.Parse(compattest.ReadFile(t, "proposal-d/schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "org.supercontainers" || s.Revision != "0.0.0" || len(s.Nodes) != 22 || !slices.Equal(s.Groups, []string{s.Name}) {
		t.Errorf("%s %s for %v has %d nodes", s.Name, s.Revision, s.Groups, len(s.Nodes))
	}
	parents := 0
	for _, n := range s.Nodes {
		if n.Parent != "" {
			parents++
		}
	}
	if parents != 18 {
		t.Errorf("%d nodes are contained in others, want one for each edge", parents)
	}
	golden.Equal(t, compattest.Testdata+"/proposal-d/schema.golden", s.GraphText())
	written, err := spec.Marshal(&s)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := spec.Parse(written); err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("written and read again: %v\n%s", err, written)
	}
}

// TestSchemaGraphAsPrintedIsRefused: the schema that Proposal D prints has an
// edge to a node that it does not declare.
func TestSchemaGraphAsPrintedIsRefused(t *testing.T) {
	t.Parallel()
	const want = `row 144, column 19: an edge has the node "hardware.gpu.version", which is not declared`
	if _, err := spec.Parse(compattest.ReadFile(t, "as-printed/proposal-d-schema.json")); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSchemaGraphsAreRefusedWithRowAndColumn(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"no JSON", `{`, "row 1, column 1: unexpected end"},
		{"no graph", `{}`, `key "graph" is missing`},
		{"several", `{"graphs":[]}`, `row 1, column 2: the document has no key "graphs", only graph`},
		{"no node", `{"graph":{"id":"a"}}`, "the graph has no node"},
		{"empty nodes", `{"graph":{"id":"a","nodes":{}}}`, "the graph has no node"},
		{"nodes of version 1", `{"graph":{"nodes":[{"id":"a"}]}}`, "expected nodes to be an object, found a list"},
		{"edge without a target", `{"graph":{"nodes":{"a":{}},"edges":[{"source":"a"}]}}`, "an edge needs source and target"},
		{"unknown key", `{"graph":{"hyperedges":[]}}`, `graph has no key "hyperedges"`},
		{"unknown key of a node", `{"graph":{"nodes":{"a":{"colour":1}}}}`, `a node has no key "colour"`},
		{"edges as an object", `{"graph":{"nodes":{"a":{}},"edges":{}}}`, "expected edges to be a list, found an object"},
		{"directed", `{"graph":{"directed":"yes"}}`, `expected directed to be true or false, found "yes"`},
		{"a ring", `{"graph":{"id":"a","nodes":{"a":{},"b":{}},"edges":[{"source":"a","target":"b","relation":"contains"},{"source":"b","target":"a","relation":"contains"}]}}`, `row 1, node "a": parent "b": the node contains itself`},
		{"all that is wrong with the edges", `{"graph":{"nodes":{"a":{},"b":{}},"edges":[{"source":"a","target":"c"}]}}`,
			"row 1, column 10: the graph has no id\nrow 1, column 67: an edge has the node \"c\", which is not declared\nrow 1, column 27: no edge has the node \"b\""},
	}
	for _, tt := range tests {
		s, err := spec.Parse([]byte(tt.body))
		if err == nil || !strings.Contains(err.Error(), tt.want) || s.Name != "" || s.Nodes != nil {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

// TestEmbeddedSpecsAreDrawn draws the embedded specs.
func TestEmbeddedSpecsAreDrawn(t *testing.T) {
	t.Parallel()
	specs := testkit.Specs(t)
	var text, dot strings.Builder
	for _, s := range specs {
		text.WriteString(s.GraphText())
		dot.WriteString(s.GraphDOT())
	}
	golden.Equal(t, compattest.Testdata+"/graph.golden", text.String())
	golden.Equal(t, compattest.Testdata+"/graph.dot", dot.String())
	program, err := exec.LookPath("dot")
	if err != nil {
		return // the golden file is what counts; Graphviz itself is not everywhere
	}
	command := exec.Command(program, "-Tsvg", "-o", "/dev/null")
	command.Stdin = strings.NewReader(dot.String())
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("Graphviz: %v: %s", err, out)
	}
}
