package controller

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestRoleIsWhatTheDocumentationSays compares docs/kubernetes.md with the manifest, verb
// by verb.
func TestRoleIsWhatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/kubernetes/base/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	for {
		var object struct {
			Rules []struct {
				APIGroups, Resources, Verbs []string
			}
		}
		if decoder.Decode(&object) != nil {
			break
		}
		for _, rule := range object.Rules {
			for _, resource := range rule.Resources {
				allowed[resource] = append(allowed[resource], rule.Verbs...)
			}
		}
	}
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What it may do")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z/]+)[^|]*\\| ([a-z, ]+) \\|").FindAllStringSubmatch(section, -1) {
		documented[row[1]] = strings.Split(row[2], ", ")
	}
	for resource, verbs := range allowed {
		slices.Sort(verbs)
		slices.Sort(documented[resource])
		if !slices.Equal(verbs, documented[resource]) {
			t.Errorf("%s: the role allows %v, the page says %v", resource, verbs, documented[resource])
		}
	}
	if len(documented) != len(allowed) || len(allowed) < 6 {
		t.Errorf("the role has %d resources, the page %d", len(allowed), len(documented))
	}
}
