package attach_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

func named(t *testing.T, name string) dialect.Dialect {
	t.Helper()
	d, ok := dialect.Named(name)
	if !ok {
		t.Fatalf("no dialect %s", name)
	}
	return d
}

func TestABodyGetsTheTypesOfItsDialect(t *testing.T) {
	t.Parallel()
	const compspec = `{"kind": "CompatibilitySpec", "compatibilities": [{"name": "io.archspec", "attributes": {"cpu.target": "zen2"}}]}`
	tests := map[string]struct {
		dialect, text, layerType string
		artifact, layer          string
		err                      string
	}{
		"outline":            {"proposal-f", outline, "", dialect.ArtifactType, dialect.LayerTypeOutline, ""},
		"outline as nfd":     {"proposal-f", outline, dialect.LayerTypeOutlineNFD, dialect.ArtifactType, dialect.LayerTypeOutlineNFD, ""},
		"outline as other":   {dialect: "proposal-f", text: outline, layerType: "a/b", err: `layer type "a/b" is not one of `},
		"nfd":                {"nfd-v1alpha1", nfd, "", dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, ""},
		"nfd as other":       {dialect: "nfd-v1alpha1", text: nfd, layerType: "a/b", err: `layer type "a/b" is not ` + dialect.LayerTypeNFD},
		"compspec":           {"compspec", compspec, "", dialect.ArtifactTypeCompspec, dialect.ArtifactTypeCompspec, ""},
		"broken":             {dialect: "proposal-f", text: "{", err: "read as proposal-f: row 1, column"},
		"of another dialect": {dialect: "compspec", text: outline, err: "read as compspec: "},
	}
	c := interpreterOnly(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := attach.NewBody("f", []byte(tt.text), named(t, tt.dialect), tt.layerType, c)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || got.ArtifactType != tt.artifact || got.LayerType != tt.layer || len(got.Requirements) == 0 {
				t.Errorf("got %s in %s, %v", got.ArtifactType, got.LayerType, err)
			}
		})
	}
}

// TestPushedBodyIsReadAsItsDialect: what would be read as another dialect under
// the types that it is pushed with is refused.
func TestPushedBodyIsReadAsItsDialect(t *testing.T) {
	t.Parallel()
	root, err := document.Parse([]byte(outline))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dialect.All() {
		d.YAML = false
		d.Requirements = func(*spec.Interpreter, *document.Node) ([]compat.Requirement, error) { return nil, nil }
		got, err := attach.NewBody("f", []byte(outline), d, "", nil)
		if d.Matches(root) && (err != nil || got.ArtifactType == "" || got.LayerType == "") {
			t.Errorf("%s: %q in %q, %v", d.Name, got.ArtifactType, got.LayerType, err)
		}
		if !d.Matches(root) && slices.Contains(d.LayerTypes, dialect.LayerTypeOutline) && d.ArtifactTypes[0] == dialect.ArtifactType &&
			(err == nil || !strings.Contains(err.Error(), "it would be read as proposal-f, not as "+d.Name)) {
			t.Errorf("%s: %v", d.Name, err)
		}
	}
}

func TestUnclearRequirementsAreNamed(t *testing.T) {
	t.Parallel()
	text := `{"compatibilities": {"nobody.knows": {"this\u001b[2J": true}, "nfd": {"cpu-cpuid.AVX2": true}}}`
	got, err := attach.NewBody("f", []byte(text), named(t, "proposal-f"), "", interpreterOnly(t))
	if err != nil {
		t.Fatal(err)
	}
	if unclear := got.Unclear(); len(unclear) != 1 || !strings.Contains(unclear[0], "this") || strings.Contains(unclear[0], "\x1b") {
		t.Errorf("got %q", unclear)
	}
}

func interpreterOnly(t *testing.T) *spec.Interpreter {
	t.Helper()
	return testkit.Interpreter(t)
}

// TestWhatNodesWouldNotEvaluateIsNotPushed, and the count is named.
func TestWhatNodesWouldNotEvaluateIsNotPushed(t *testing.T) {
	t.Parallel()
	text := compattest.NFDRule("    - feature: kernel.config\n      matchName: {op: InRegexp, value: [\"(a.{1,9}){35}$\"]}\n")
	_, err := attach.NewBody("f", []byte(text), named(t, dialect.NFD), "", interpreterOnly(t))
	if err == nil || !strings.Contains(err.Error(), "nodes would not evaluate it") || !strings.Contains(err.Error(), "steps, more than 10000000") {
		t.Errorf("got %v", err)
	}
}
