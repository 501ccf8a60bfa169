package dialect_test

import (
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// TestDialectIsDetectedByTheTypes: the types, and where they are shared the shape, tell what an
// artifact is written in.
func TestDialectIsDetectedByTheTypes(t *testing.T) {
	t.Parallel()
	const nfdBody = "version: v1alpha1\ncompatibilities: []"
	tests := []struct{ name, artifactType, layerType, body, want string }{
		{"Proposal F", dialect.ArtifactType, dialect.LayerTypeOutline, `{"compatibilities": {}}`, "proposal-f"},
		{"Proposal F, first revision", dialect.ArtifactType, dialect.LayerTypeOutlineNFD, `{"compatibilities": {}}`, "proposal-f"},
		{"Proposal F, broken", dialect.ArtifactType, dialect.LayerTypeOutline, `{`, "proposal-f"},
		{"another layer of it", dialect.ArtifactType, "application/octet-stream", `{"compatibilities": {}}`, ""},
		{"NFD", dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, nfdBody, "nfd-v1alpha1"},
		{"NFD takes any layer", dialect.ArtifactTypeNFD, "application/yaml", nfdBody, "nfd-v1alpha1"},
		{"NFD, KEP-1845", dialect.ArtifactTypeNFDKEP, dialect.LayerTypeNFDKEP, nfdBody, "nfd-v1alpha1"},
		{"something else", "application/vnd.example", dialect.LayerTypeNFD, nfdBody, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, ok := dialect.Detect(tt.artifactType, tt.layerType, []byte(tt.body))
			if d.Name != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v, want %q", d.Name, ok, tt.want)
			}
		})
	}
}

// TestEveryDialectHasNameTypesAndParser: every dialect has a name of its own, types and a parser, and
// refuses what is no document at all.
func TestEveryDialectHasNameTypesAndParser(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range dialect.All() {
		if d.Name == "" || seen[d.Name] || len(d.ArtifactTypes) == 0 || d.Requirements == nil {
			t.Errorf("dialect %q is given twice, or lacks something", d.Name)
		}
		seen[d.Name] = true
		for _, artifactType := range d.ArtifactTypes {
			if !dialect.IsArtifactType(artifactType) {
				t.Errorf("%s is no type of an artifact", artifactType)
			}
		}
		if reqs, err := d.Parse(testkit.Interpreter(t), []byte("\xff")); err == nil || reqs != nil {
			t.Errorf("%s reads nonsense: %v", d.Name, reqs)
		}
	}
	if dialect.IsArtifactType("") || dialect.IsArtifactType("application/vnd.example") {
		t.Error("any type is a type of an artifact")
	}
}
