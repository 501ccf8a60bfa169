package facts_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

func documentation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/facts.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLabelsAreDocumented(t *testing.T) {
	t.Parallel()
	text := documentation(t)
	for _, label := range facts.LabelPatterns() {
		if family, _, _ := strings.Cut(label, "*"); !strings.Contains(text, "`"+family) {
			t.Errorf("docs/facts.md does not name the label %s", label)
		}
	}
}

func TestVolatileSetsAreCollectedAndDocumented(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(documentation(t), "## The fingerprint")
	for _, name := range facts.VolatileSets() {
		if !strings.Contains(text, "| `"+name+"` |") {
			t.Errorf("docs/facts.md does not say what the fingerprint leaves out of %s", name)
		}
		if !slices.ContainsFunc(hostfacts.Sets(), func(set facts.Set) bool { return set.Name == name }) {
			t.Errorf("the fingerprint leaves out a part of %s, which is not collected", name)
		}
	}
}

func TestElementsOfASetAreReadWithTheirNotes(t *testing.T) {
	t.Parallel()
	set := facts.Set{Name: "a.b", Elements: "on (true, or absent), size (MiB, rounded), name, kind (a)"}
	if got, want := set.Names(), []string{"on", "size", "name", "kind"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	if !set.IsSwitch("on") || set.IsSwitch("size") || set.IsSwitch("none") || set.Family() != "a" {
		t.Errorf("switches or family are wrong: %+v", set)
	}
	set.Elements = "enabled (true, false), pages-* (how many)"
	if got := set.Names(); got != nil || !set.IsSwitch("enabled") {
		t.Errorf("names of an open set: %q", got)
	}
}
