package compat_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
)

func TestParseJGF(t *testing.T) {
	t.Parallel()
	graph, err := compat.ParseJGF(readFile(t, "proposal-d/schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := graph.Validate(); err != nil {
		t.Error(err)
	}
	if graph.ID != "org.supercontainers" || graph.Version != "0.0.0" || len(graph.Nodes) != 22 || len(graph.Edges) != 18 {
		t.Errorf("%s %s has %d nodes and %d edges", graph.ID, graph.Version, len(graph.Nodes), len(graph.Edges))
	}
	s := graph.Spec()
	golden(t, "proposal-d/schema.golden", s.GraphText())
}

// TestJGFAsPrinted: the schema that Proposal D prints has an edge to a node
// that it does not declare.
func TestJGFAsPrinted(t *testing.T) {
	t.Parallel()
	graph, err := compat.ParseJGF(readFile(t, "as-printed/proposal-d-schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `an edge has the node "hardware.gpu.version", which is not declared`
	if err := graph.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParseJGFRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"no JSON", `{`, "row 1, column 1: unexpected end"},
		{"no graph", `{}`, `key "graph" is missing`},
		{"several", `{"graphs":[]}`, `row 1, column 2: the document has no key "graphs", only graph`},
		{"no node", `{"graph":{"id":"a"}}`, "the graph has no node"},
		{"nodes of version 1", `{"graph":{"nodes":[{"id":"a"}]}}`, "expected nodes to be an object, found a list"},
		{"edge without a target", `{"graph":{"nodes":{"a":{}},"edges":[{"source":"a"}]}}`, "an edge needs source and target"},
		{"unknown key", `{"graph":{"hyperedges":[]}}`, `graph has no key "hyperedges"`},
		{"directed", `{"graph":{"directed":"yes"}}`, `expected directed to be true or false, found "yes"`},
	}
	for _, tt := range tests {
		graph, err := compat.ParseJGF([]byte(tt.body))
		if err == nil || !strings.Contains(err.Error(), tt.want) || graph != nil {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestJGFValidate(t *testing.T) {
	t.Parallel()
	graph, err := compat.ParseJGF([]byte(`{"graph":{"nodes":{"a":{},"b":{}},"edges":[{"source":"a","target":"c"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = "the graph has no id\nan edge has the node \"c\", which is not declared\nno edge has the node \"b\""
	if err := graph.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func FuzzParseJGF(f *testing.F) {
	f.Add([]byte(`{"graph":{"id":"a","nodes":{"a":{"label":"x"},"b":{}},"edges":[{"source":"a","target":"b","relation":"contains"},{"source":"b","target":"a","relation":"contains"}]}}`))
	f.Fuzz(func(_ *testing.T, body []byte) {
		graph, err := compat.ParseJGF(body)
		if err != nil {
			return
		}
		_ = graph.Validate()
		s := graph.Spec()
		_, _ = s.GraphText(), s.GraphDOT()
	})
}

// TestGraphs draws the embedded specs.
func TestGraphs(t *testing.T) {
	t.Parallel()
	specs, err := compat.EmbeddedSpecs()
	if err != nil {
		t.Fatal(err)
	}
	var text, dot strings.Builder
	for _, s := range specs {
		text.WriteString(s.GraphText())
		dot.WriteString(s.GraphDOT())
	}
	golden(t, "graph.golden", text.String())
	golden(t, "graph.dot", dot.String())
	program, err := exec.LookPath("dot")
	if err != nil {
		return // the golden file is what counts; Graphviz itself is not everywhere
	}
	command := exec.Command(program, "-Tsvg", "-o", "/dev/null") //nolint:gosec // what was looked up
	command.Stdin = strings.NewReader(dot.String())
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("Graphviz: %v: %s", err, out)
	}
}
