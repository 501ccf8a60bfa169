package lint

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestCodesAreDocumented: the guide has every code, and no other.
func TestCodesAreDocumented(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../../docs/authoring.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(guide), "| code |")
	var documented []string
	for line := range strings.Lines(table) {
		if code, ok := strings.CutPrefix(line, "| `"); ok {
			code, _, _ = strings.Cut(code, "`")
			documented = append(documented, code)
		}
	}
	var codes []string
	for _, c := range Codes() {
		codes = append(codes, c.Name)
	}
	if !slices.Equal(documented, codes) {
		t.Errorf("documented %q\nthere are %q", documented, codes)
	}
}
