package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
)

// TestDialectsRefuseWithRowAndColumn: what is not of the dialect is an error that says where.
func TestDialectsRefuseWithRowAndColumn(t *testing.T) {
	t.Parallel()
	spec := func(entry string) string {
		return `{"version":"0.0.0","kind":"CompatibilitySpec","compatibilities":[` + entry + `]}`
	}
	graph := func(relations string) string {
		return `{"spec":{"compatibilities":[{"id":"a","domain":"d","attributes":{}},{"id":"b","domain":"d","attributes":{}}],"relations":` + relations + `}}`
	}
	edges := func(list string) string {
		return graph(`{"graphs":{"g":{"edges":[` + list + `]}},"validationCriteria":[{"graphs":["g"],"condition":"allOf"}]}`)
	}
	rules := func(expression string) string {
		return `{"version":"v1alpha1","compatibilities":[{"rules":[{"matchFeatures":[{"matchExpressions":[` + expression + `]}]}]}]}`
	}
	tests := []struct{ dialect, name, body, want string }{
		{"compspec", "no JSON", `{"a":1,}`, "row 1, column 8: invalid character '}' looking for beginning of object key string"},
		{"compspec", "a list", `[]`, "row 1, column 1: expected the document to be an object, found a list"},
		{"compspec", "key twice", "{\"kind\":\"a\",\n \"kind\":\"b\"}", `row 2, column 2: the key "kind" is given twice`},
		{"compspec", "no kind", `{"compatibilities":[]}`, `row 1, column 1: key "kind" is missing`},
		{"compspec", "another kind", `{"kind":"Spec"}`, `row 1, column 9: kind is "Spec", not "CompatibilitySpec"`},
		{"compspec", "no compatibilities", `{"kind":"CompatibilitySpec"}`, `row 1, column 1: key "compatibilities" is missing`},
		{"compspec", "unknown key", `{"knd":"CompatibilitySpec"}`, `row 1, column 2: the document has no key "knd", only version, kind, metadata, compatibilities, annotations`},
		{"compspec", "entry without a name", spec(`{"attributes":{}}`), "row 1, column 66: a compatibility needs a name and attributes"},
		{"compspec", "attribute of attributes", spec(`{"name":"n","attributes":{"a":{}}}`), `expected the attribute "a" to be a string, found an object`},
		{"compspec", "unknown key of an entry", spec(`{"nam":"n"}`), `a compatibility has no key "nam"`},
		{"compspec", "too many", `{"version":"1","attributes":{` + strings.TrimSuffix(strings.Repeat(`"k@":1,`, 10_001), ",") + `}}`, "more than 10000 attributes"},
		{"compspec", "nested", `{"kind":"CompatibilitySpec","metadata":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`, "nested deeper than 32"},
		{"compspec", "compat-lib with more", `{"attributes":{},"colour":1}`, `the document has no key "colour", only version, attributes`},
		{"proposal-h", "no list", `{"compatibilities":{}}`, "row 1, column 20: expected compatibilities to be a list, found an object"},
		{"proposal-h", "empty", `{"compatibilities":[]}`, "row 1, column 20: compatibilities has no set"},
		{"proposal-h", "missing", `{}`, `key "compatibilities" is missing`},
		{"proposal-h", "a set of a list", `{"compatibilities":[[]]}`, "expected a compatibility set to be an object, found a list"},
		{"proposal-h", "score of words", `{"compatibilities":[{"oci.compatibility-score":"high"}]}`, `expected oci.compatibility-score to be a whole number, found "high"`},
		{"proposal-h", "score twice", `{"compatibilities":[{"oci.compatibility-score":1,"compatibility-score":1}]}`, "row 1, column 50: the score is given twice"},
		{"proposal-h", "heavy score", `{"compatibilities":[{"oci.compatibility-score":1000001}]}`, "oci.compatibility-score is 1000001, not -1000000 to 1000000"},
		{"proposal-h", "unknown key", `{"compatibilitys":[]}`, `the document has no key "compatibilitys"`},
		{"proposal-b", "no spec", `{}`, `key "spec" is missing`},
		{"proposal-b", "no compatibilities", `{"spec":{}}`, `key "compatibilities" is missing`},
		{"proposal-b", "without an id", `{"spec":{"compatibilities":[{"domain":"d","attributes":{}}]}}`, "a compatibility needs id, domain and attributes"},
		{"proposal-b", "id twice", `{"spec":{"compatibilities":[{"id":"a","domain":"d","attributes":{}},{"id":"a","domain":"d","attributes":{}}]}}`, `the id "a" is given twice`},
		{"proposal-b", "no criteria", graph(`{"graphs":{}}`), `key "validationCriteria" is missing`},
		{"proposal-b", "no such graph", graph(`{"graphs":{},"validationCriteria":[{"graphs":["g"],"condition":"allOf"}]}`), `no graph is named "g"`},
		{"proposal-b", "condition", edges(`{"from":"a","to":{"compatibilities":["b"],"condition":"someOf"}}`), `condition is "someOf", not one of allOf, oneOf, noneOf`},
		{"proposal-b", "without a condition", edges(`{"from":"a","to":{"compatibilities":["b"]}}`), "compatibilities and condition are needed"},
		{"proposal-b", "no such id", edges(`{"from":"a","to":{"compatibilities":["B"],"condition":"allOf"}}`), `no compatibility has the id "B" (is "b" meant?)`},
		{"proposal-b", "no edge", edges(``), `the graph "g" has no edge`},
		{"proposal-b", "an edge to nowhere", edges(`{"from":"a"}`), "an edge needs from and to"},
		{"proposal-b", "a ring", edges(`{"from":"a","to":{"compatibilities":["b"],"condition":"allOf"}},{"from":"b","to":{"compatibilities":["a"],"condition":"allOf"}}`), `the graph "g" has no beginning: its edges go round`},
		{"proposal-b", "a ring behind a beginning", edges(`{"from":"a","to":{"compatibilities":["b"],"condition":"allOf"}},{"from":"b","to":{"compatibilities":["b"],"condition":"allOf"}}`), "the edges go round, or are more than 64 deep"},
		{"proposal-b", "very many paths", manyPaths(), "the graphs have more than 10000 paths"},
		{"ocifit", "no version of it", `{"version":"v2","compatibilities":[]}`, `version is "v2", not v1alpha1`},
		{"ocifit", "no rules", `{"version":"v1alpha1","compatibilities":[{}]}`, `key "rules" is missing`},
		{"ocifit", "no key", rules(`{"op":"In","value":"a"}`), "an expression needs a key and an op"},
		{"ocifit", "no op", rules(`{"key":"a","value":"a"}`), "an expression needs a key and an op"},
		{"ocifit", "op without a value", rules(`{"key":"a","op":"Gte"}`), "op Ge has 0 values, not 1"},
		{"ocifit", "bad pattern", rules(`{"key":"a","op":"InRegexp","value":"("}`), "missing closing )"},
		{"ocifit", "YAML with an alias", "version: &a v1alpha1\ncompatibilities: []\nb: *a\n", "anchors and aliases are not read"},
	}
	for _, tt := range tests {
		t.Run(tt.dialect+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			for i := 0; strings.Contains(tt.body, "@"); i++ {
				tt.body = strings.Replace(tt.body, "@", fmt.Sprint(i), 1)
			}
			reqs, err := compattest.Dialect(t, tt.dialect).Parse(testkit.Interpreter(t), []byte(tt.body))
			if err == nil || reqs != nil {
				t.Fatalf("was read: %v, %v", reqs, err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "row ") && !strings.HasPrefix(tt.want, "more") {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

// manyPaths is a small graph of Proposal B in which each compatibility leads
// to two that lead on: the number of paths doubles with each.
func manyPaths() string {
	var nodes, edges []string
	for i := range 41 {
		nodes = append(nodes, fmt.Sprintf(`{"id":"a%d","domain":"d","attributes":{}},{"id":"b%d","domain":"d","attributes":{}}`, i, i))
	}
	for i := range 40 {
		to := fmt.Sprintf(`{"compatibilities":["a%d","b%d"],"condition":"allOf"}`, i+1, i+1)
		edges = append(edges, fmt.Sprintf(`{"from":"a%d","to":%s},{"from":"b%d","to":%s}`, i, to, i, to))
	}
	return `{"spec":{"compatibilities":[` + strings.Join(nodes, ",") + `],"relations":{"graphs":{"g":{"edges":[` + strings.Join(edges, ",") +
		`]}},"validationCriteria":[{"graphs":["g"],"condition":"allOf"}]}}}`
}
