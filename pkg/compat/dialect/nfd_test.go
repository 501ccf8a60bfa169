package dialect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// outlineOf draws a requirement as a tree.
func outlineOf(b *strings.Builder, depth int, r *compat.Requirement) {
	kind := [...]string{"leaf", "all of", "any of", "one of", "none of"}[r.Combine]
	fmt.Fprintf(b, "%s%s %q %q weight %d", strings.Repeat("  ", depth), kind, r.Key, r.Title, r.Weight)
	if r.Combine == compat.Leaf {
		b.WriteString(": " + r.Want())
	}
	if r.Unclear != "" {
		b.WriteString(", unclear: " + r.Unclear)
	}
	if len(r.Defines) > 0 {
		fmt.Fprintf(b, ", defines %v", r.Defines)
	}
	b.WriteString("\n")
	for i := range r.Parts {
		outlineOf(b, depth+1, &r.Parts[i])
	}
}

func TestNFDBecomesATreeOfRequirements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []string
	}{
		{"two sets, KEP-1845", string(compattest.ReadFile(t, "nfd/kep1845-preferred-fallback.yaml")), []string{
			`any of "compatibilities" "" weight 0`,
			`  all of "prefered" "Prefered node configuration" weight 10`,
			`    all of "kernel and cpu" "kernel and cpu" weight 0`,
			`      leaf "kernel.loadedmodule" "" weight 0: kernel.loadedmodule vfio-pci`,
			`      leaf "cpu.model" "" weight 0: cpu.model vendor_id=Intel|Amd`,
			`  all of "fallback" "Minimal required configuration" weight 1`,
			`    all of "cpu" "cpu" weight 0`,
			`      leaf "cpu.model" "" weight 0: cpu.model vendor_id=Intel|Amd`,
		}},
		{"all that a rule can say", string(compattest.ReadFile(t, "nfd/every-rule.yaml")), []string{
			`any of "compatibilities" "" weight 0`,
			`  all of "all" "all" weight 7`,
			`    all of "base" "base" weight 0, defines map[count:3 tier:gold]`,
			`      leaf "Kernel.Version" "" weight 0: kernel.version from 5.10 to 6.99 and major=5|6 and minor of any value and revision`,
			`      leaf "cpu.cpuid" "" weight 0: cpu.cpuid AVX2 and SSE42 and a name like ^AVX`,
			`    all of "back" "back" weight 0`,
			`      leaf "rule.matched" "" weight 0: rule.matched tier=gold and count > 2`,
			`      leaf "rule.matched" "" weight 0: rule.matched any of tier`,
		}},
		{"matchAny, a template, and what a NodeFeatureRule gives", `
version: v1alpha1
compatibilities:
- rules:
  - varsTemplate: "{{range .pci.device}}a={{.vendor}}{{end}}"
    labels: {x: y}
    taints: []
    matchAny:
    - matchFeatures: [{feature: a.b, matchExpressions: ["x", "y=z=1"]}]
    - matchFeatures: [{feature: a.b, matchExpressions: {x: {op: Like, value: [1]}}}]
  - matchFeatures: [{feature: rule.matched, matchExpressions: {a: {op: Exists}}}]
`, []string{
			`any of "compatibilities" "" weight 0`,
			`  all of "set 1" "" weight 0`,
			`    all of "rule 1" "" weight 0`,
			`      any of "rule 1" "" weight 0`,
			`        all of "matchAny 1" "" weight 0`,
			`          leaf "a.b" "" weight 0: a.b x and y=z=1`,
			`        all of "matchAny 2" "" weight 0`,
			`          leaf "a.b x" "" weight 0: a.b x, unclear: the operator "Like" is not known`,
			`    all of "rule 2" "" weight 0`,
			`      leaf "rule.matched" "" weight 0: rule.matched, unclear: the rule "rule 1" makes its variables with a varsTemplate, which imagefit does not run`,
		}},
		{"nothing but null", `{"version": "v1alpha1", "compatibilities": [{"tag": null, "rules": [{"name": null, "vars": null, "matchAny": null, "matchFeatures": null}]}]}`, []string{
			`any of "compatibilities" "" weight 0`,
			`  all of "set 1" "" weight 0`,
			`    all of "rule 1" "" weight 0`,
		}},
		{"no set", `{"version": "v1alpha1", "compatibilities": []}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reqs, err := compattest.Dialect(t, dialect.NFD).Parse(nil, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for i := range reqs {
				outlineOf(&b, 0, &reqs[i])
			}
			if want := strings.Join(tt.want, "\n"); strings.TrimSuffix(b.String(), "\n") != want {
				t.Errorf("got\n%s\nwant\n%s", b.String(), want)
			}
		})
	}
}

// expression is a spec with one expression, which begins in row 1, column 115.
func expression(e string) string {
	return `{version: v1alpha1, compatibilities: [{rules: [{matchFeatures: [{feature: kernel.version, matchExpressions: {full: ` + e + `}}]}]}]}`
}

func TestNFDIsRefusedWithRowAndColumn(t *testing.T) {
	t.Parallel()
	rule := func(r string) string { return "version: v1alpha1\ncompatibilities:\n- rules:\n  - " + r + "\n" }
	tests := []struct{ name, body, want string }{
		{"nothing", "", "row 1, column 1: the document is empty"},
		{"a comment", "# nothing", "row 1, column 1: the document is empty"},
		{"a list", "- a", "row 1, column 1: expected the document to be an object, found a list"},
		{"a word", "word", `row 1, column 1: expected the document to be an object, found "word"`},
		{"broken JSON", "{\"version\": \"v1alpha1\",\n \"compatibilities\": [}", "row 2, column 22: invalid character '}' looking for beginning of value"},
		{"JSON that is no YAML", `{"version": "\ud83d\ude00"}`, `row 1, column 13: version is "😀", not v1alpha1`},
		{"a list of JSON", "[]", "row 1, column 1: expected the document to be an object, found a list"},
		{"broken YAML", "version: v1alpha1\ncompatibilities:\n- rules: [\n", "row 3: did not find expected node content"},
		{"a tab", "version: v1alpha1\ncompatibilities:\n\t- rules: []\n", "row 3: found character that cannot start any token"},
		{"not UTF-8", "version: \xff", "row 1, column 10: the text is not UTF-8"},
		{"two documents", "version: v1alpha1\n---\nversion: v1alpha1\n", "row 2, column 1: there is more than one document"},
		{"no version", "compatibilities: []", `row 1, column 1: key "version" is missing`},
		{"another version", "version: v2\ncompatibilities: []", `row 1, column 10: version is "v2", not v1alpha1`},
		{"no sets", "version: v1alpha1", `row 1, column 1: key "compatibilities" is missing`},
		{"misspelt", "version: v1alpha1\ncompatibilties: []", `row 2, column 1: the document has no key "compatibilties", only version, compatibilities`},
		{"a set that is a list", "version: v1alpha1\ncompatibilities: [[]]", "row 2, column 19: expected a compatibility set to be an object, found a list"},
		{"a set without rules", "version: v1alpha1\ncompatibilities: [{tag: a}]", `row 2, column 19: key "rules" is missing`},
		{"weight in words", "version: v1alpha1\ncompatibilities: [{weight: ten, rules: []}]", `row 2, column 28: expected weight to be a whole number, found "ten"`},
		{"weight too high", "version: v1alpha1\ncompatibilities: [{weight: 1000001, rules: []}]", "row 2, column 28: weight is 1000001, not -1000000 to 1000000"},
		{"unknown key of a set", "version: v1alpha1\ncompatibilities: [{rule: []}]", `row 2, column 20: a compatibility set has no key "rule", only rules, weight, tag, description`},
		{"unknown key of a rule", rule("matchFeature: []"), `row 4, column 5: a rule has no key "matchFeature", only name, vars, varsTemplate, matchFeatures, matchAny`},
		{"a key twice", rule("name: a\n    name: b"), `row 5, column 5: the key "name" is given twice`},
		{"a key that is a list", rule("[a]: b"), "row 4, column 5: a key must be a string"},
		{"an anchor", rule("&a name: b"), "row 4, column 5: anchors and aliases are not read"},
		{"a merge key", rule("<<: {name: b}"), `row 4, column 5: the tag "!!merge" is not read`},
		{"a tag", rule("name: !!binary aGk="), `row 4, column 11: the tag "!!binary" is not read`},
		{"a variable that is a list", rule("vars: {a: [1]}"), `row 4, column 15: expected the variable "a" to be a string, found a list`},
		{"matchFeatures as an object", rule("matchFeatures: {}"), "row 4, column 20: expected matchFeatures to be a list, found an object"},
		{"no feature", rule("matchFeatures: [{matchName: {op: Exists}}]"), `row 4, column 21: key "feature" is missing`},
		{"ocifit's list", rule("matchFeatures: [{feature: a.b, matchExpressions: [{key: x, op: In}]}]"), "row 4, column 55: expected a member of the list matchExpressions to be a string, found an object"},
		{"matchFeatures beside matchAny's", rule("matchAny: [{feature: a.b}]"), `row 4, column 17: a member of matchAny has no key "feature", only matchFeatures`},
		{"values", expression(`{op: In, values: [a]}`), `row 1, column 125: an expression has no key "values", only op, value, type`},
		{"In of nothing", expression(`{op: In}`), "row 1, column 116: op In needs a value"},
		{"Exists with a value", expression(`{op: Exists, value: [a]}`), "row 1, column 116: op Exists has 1 values, not 0"},
		{"no op, but a value", expression(`{value: [a]}`), `row 1, column 116: op "" has 1 values, not 0`},
		{"Gt of two", expression(`{op: Gt, value: [1, 2]}`), "row 1, column 116: op Gt has 2 values, not 1"},
		{"GtLt of one", expression(`{op: GtLt, value: [1]}`), "row 1, column 116: op GtLt has 1 values, not 2"},
		{"GtLt the wrong way round", expression(`{op: GtLt, value: [2, 1]}`), `row 1, column 116: "2" is not less than "1"`},
		{"GeLe of the same", expression(`{op: GeLe, value: [2, 2]}`), `row 1, column 116: "2" is not less than "2"`},
		{"Gt of a word", expression(`{op: Gt, value: [new]}`), `row 1, column 116: "new" is not a number`},
		{"a version below zero", expression(`{op: Gt, type: version, value: ["-1"]}`), `row 1, column 116: "-1" is not a version`},
		{"another type", expression(`{op: Gt, type: semver, value: ["1"]}`), `row 1, column 131: type is "semver", not version`},
		{"a value that is an object", expression(`{op: In, value: [{}]}`), "row 1, column 133: expected a value to be a string, found an object"},
		{"a value that is null", expression(`{op: In, value: [null]}`), "row 1, column 133: expected a value to be a string, found null"},
		{"a broken pattern", expression(`{op: InRegexp, value: ["("]}`), "row 1, column 116: read \"(\": error parsing regexp: missing closing ): `(`"},
		{"a huge pattern", expression(`{op: InRegexp, value: ["((x{30}){30})"]}`), `row 1, column 116: the regular expression "((x{30}){30})" is too large, or one too many`},
		{"a long pattern", expression(`{op: InRegexp, value: ["` + strings.Repeat("x", 1001) + `"]}`), "row 1, column 116: a regular expression has 1001 bytes, more than 1000"},
		{"too many patterns", expression(`{op: InRegexp, value: [` + strings.Repeat(`"x{300}",`, 12) + `]}`), `row 1, column 116: the regular expression "x{300}" is too large, or one too many`},
		{"too many expressions", rule("matchFeatures: [{feature: a.b, matchExpressions: [" + strings.Repeat("a,", 2001) + "]}]"), "row 4, column 4055: more than 2000 expressions and variables"},
		{"too deep", strings.Repeat("[", 50) + "a" + strings.Repeat("]", 50), "row 1, column 33: nested deeper than 32"},
		{"much too deep", strings.Repeat("[", 20_000), "row 1: exceeded max depth of 10000"},
		{"too long", strings.Repeat("#", 1<<20+1), "the document has 1048577 bytes, more than 1048576"},
		{"too many values", "[" + strings.Repeat("a,", 50_001) + "]", "the document may have more than 50000 values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := compattest.Dialect(t, dialect.NFD).Parse(nil, []byte(tt.body))
			if err == nil {
				t.Fatalf("was read: %v", got)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if got != nil {
				t.Errorf("half read: %v", got)
			}
		})
	}
}

// FuzzNFD: whatever an artifact holds, it gives an error or requirements
// that can be weighed, to the same end each time.
func FuzzNFD(f *testing.F) {
	samples, err := filepath.Glob(filepath.Join(compattest.Testdata, "nfd/*"))
	if err != nil || len(samples) == 0 {
		f.Fatal("no samples", err)
	}
	for _, name := range samples {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(expression(`{op: InRegexp, value: ["^6"]}`)))
	f.Add([]byte("version: v1\ncompatibilities: [{rules: [{vars: {a: 1}}, {matchFeatures: [{feature: rule.matched, matchName: x}]}]}]"))
	facts := facts.New("linux", "amd64", facts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX2"}},
		Attributes: map[string]map[string]string{"kernel.version": {"full": "6.8.0", "major": "6"}},
		Instances:  map[string][]map[string]string{"pci.device": {{"vendor": "0eee", "class": "0200"}}},
		Unknown:    map[string]string{"kernel.loadedmodule": "why"},
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		reqs, err := compattest.Dialect(t, dialect.NFD).Parse(nil, body)
		if err != nil {
			if reqs != nil {
				t.Errorf("half read: %v", reqs)
			}
			return
		}
		v := selector.Evaluate(facts, reqs)
		if v.Reason() != selector.Evaluate(facts, reqs).Reason() {
			t.Error("two reasons")
		}
		for i := range v.Checks {
			_ = v.Checks[i].Requirement.Want() + v.Checks[i].Have()
		}
	})
}
