package policy_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/policy"
)

func keyNames() []string {
	var names []string
	for _, key := range policy.Keys() {
		names = append(names, key.Name)
	}
	return names
}

// documented returns what a page has in code where the expression has its group.
func documented(t *testing.T, page string, expression *regexp.Regexp) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range expression.FindAllStringSubmatch(string(text), -1) {
		for _, code := range regexp.MustCompile("`[^`]+`").FindAllString(match[1], -1) {
			found = append(found, strings.Trim(code, "`"))
		}
	}
	return found
}

// The table of cases on the page about selection has a row for each key.
func TestSelectionPageHasEveryCase(t *testing.T) {
	t.Parallel()
	got := documented(t, "selection.md", regexp.MustCompile("(?m)^\\|[^|]*\\|[^|]*\\| (`[a-z_]+`) \\|$"))
	if want := slices.Sorted(slices.Values(keyNames())); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("docs/selection.md has the keys %v, want each of %v once", got, want)
	}
}

// The page about configuration lists what may differ between repositories.
func TestConfigurationPageListsTheKeysOfRepositories(t *testing.T) {
	t.Parallel()
	got := documented(t, "config.md", regexp.MustCompile(`These keys can be set: ([^.]*)\.`))
	if want := append([]string{"mode"}, keyNames()...); !slices.Equal(got, want) {
		t.Errorf("docs/config.md lists %v, want %v", got, want)
	}
}
