package dialect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/pkg/compat"
)

// TestProposalFSamplesMeanWhatTheyShould holds the samples of both revisions of Proposal F,
// repaired, against what is read in them and what they ask for.
func TestProposalFSamplesMeanWhatTheyShould(t *testing.T) {
	t.Parallel()
	in := testkit.Interpreter(t)
	for _, name := range []string{"first-revision-nfd", "first-revision-hpc", "merged-nfd", "merged-hpc"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attributes, err := compattest.Attributes(t, compattest.ReadFile(t, filepath.Join("outline", name+".json")))
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, a := range attributes {
				fmt.Fprintf(&got, "attribute   %s | %s | %s | %s\n", a.Group, a.Key, a.Value, kindName(a.Kind))
			}
			for _, r := range in.Requirements(attributes) {
				fmt.Fprintf(&got, "requirement %s\n", compattest.Describe(r))
			}
			golden.Equal(t, filepath.Join(compattest.Testdata, "outline", name+".golden"), got.String())
		})
	}
}

// TestProposalFAsPrintedIsRefusedWhereItStopsBeingJSON: what the proposals print is no JSON, and where it
// stops being JSON is what an author wants to know.
func TestProposalFAsPrintedIsRefusedWhereItStopsBeingJSON(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"first-revision-nfd": "row 20, column 2: unexpected end of JSON input",
		"first-revision-hpc": "row 5, column 5: invalid character '}' looking for beginning of object key string",
		"merged-nfd":         "row 7, column 7: invalid character '\"' after object key:value pair",
		"merged-hpc":         "row 5, column 5: invalid character '}' looking for beginning of object key string",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, compattest.ReadFile(t, filepath.Join("as-printed", name+".json")), want)
		})
	}
}

func TestProposalFKeepsOrderAndSpelling(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []compat.Attribute
	}{
		{"no groups", `{"compatibilities":{}}`, nil},
		{"an empty group", `{"compatibilities":{"cpu":{}}}`, nil},
		{"every kind of scalar", `{"compatibilities":{"g":{"a":true,"b":false,"c":4,"d":"4","e":"true","f":""}}}`,
			[]compat.Attribute{
				{Group: "g", Key: "a", Value: "true", Kind: compat.Bool},
				{Group: "g", Key: "b", Value: "false", Kind: compat.Bool},
				{Group: "g", Key: "c", Value: "4", Kind: compat.Number},
				{Group: "g", Key: "d", Value: "4", Kind: compat.String},
				{Group: "g", Key: "e", Value: "true", Kind: compat.String},
				{Group: "g", Key: "f", Value: "", Kind: compat.String},
			}},
		{"numbers stay as they were written", `{"compatibilities":{"g":{"a":6.10,"b":1e400,"c":-0.0,"d":123456789012345678901234567890}}}`,
			[]compat.Attribute{
				{Group: "g", Key: "a", Value: "6.10", Kind: compat.Number},
				{Group: "g", Key: "b", Value: "1e400", Kind: compat.Number},
				{Group: "g", Key: "c", Value: "-0.0", Kind: compat.Number},
				{Group: "g", Key: "d", Value: "123456789012345678901234567890", Kind: compat.Number},
			}},
		{"the order of the document", `{"compatibilities":{"b":{"z":1,"a":2},"a":{"m":3}}}`,
			[]compat.Attribute{
				{Group: "b", Key: "z", Value: "1", Kind: compat.Number},
				{Group: "b", Key: "a", Value: "2", Kind: compat.Number},
				{Group: "a", Key: "m", Value: "3", Kind: compat.Number},
			}},
		{"keys of later revisions are skipped", `{"version":"2","x":{"a":[1,{"b":null}]},"compatibilities":{"g":{"a":1}},"y":[[]]}`,
			[]compat.Attribute{{Group: "g", Key: "a", Value: "1", Kind: compat.Number}}},
		{"the same key in two groups", `{"compatibilities":{"g":{"a":1},"h":{"a":2}}}`,
			[]compat.Attribute{
				{Group: "g", Key: "a", Value: "1", Kind: compat.Number},
				{Group: "h", Key: "a", Value: "2", Kind: compat.Number},
			}},
		{"escapes and empty names", `{"compatibilities":{"":{"":"\u00e9\n","\ud800":"x"}}}`,
			[]compat.Attribute{
				{Value: "é\n", Kind: compat.String},
				{Key: "\ufffd", Value: "x", Kind: compat.String},
			}},
		{"space around", "\n\t {\"compatibilities\" : { \"g\" :\r\n{ \"a\" : 1 } } } \n",
			[]compat.Attribute{{Group: "g", Key: "a", Value: "1", Kind: compat.Number}}},
		{"a huge string", `{"compatibilities":{"g":{"a":"` + strings.Repeat("x", hugeText) + `"}}}`,
			[]compat.Attribute{{Group: "g", Key: "a", Value: strings.Repeat("x", hugeText), Kind: compat.String}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := compattest.Attributes(t, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v\nwant %v", got, tt.want)
			}
		})
	}
}

// hugeText leaves room for the rest of the largest document.
const hugeText = 4<<20 - 100

func TestProposalFIsRefusedWithRowAndColumn(t *testing.T) {
	t.Parallel()
	scalar := "expected true, false, a number or a string, found "
	tests := []struct{ name, body, want string }{
		{"nothing", ``, "row 1, column 1: unexpected end of JSON input"},
		{"only space", " \n ", "row 2, column 1: unexpected end of JSON input"},
		{"half a document", `{"compatibilities":{"g":{"a":1}`, "row 1, column 31: unexpected end of JSON input"},
		{"half a word", `{"compatibilities":{"g":{"a":tru}}}`, "row 1, column 33: invalid character '}' in literal true (expecting 'e')"},
		{"a byte order mark", "\ufeff{}", "row 1, column 1: invalid character 'ï' looking for beginning of value"},
		{"null", `null`, "row 1, column 1: expected the document to be an object, found null"},
		{"a list", "\n [1]", "row 2, column 2: expected the document to be an object, found a list"},
		{"a string", `"compatibilities"`, `row 1, column 1: expected the document to be an object, found "compatibilities"`},
		{"empty", `{}`, `row 1, column 1: key "compatibilities" is missing`},
		{"misspelt", "{\n\"compatibilites\":{}\n}", `row 1, column 1: key "compatibilities" is missing`},
		{"other case", `{"Compatibilities":{}}`, `row 1, column 1: key "compatibilities" is missing`},
		{"compatibilities null", `{"compatibilities": null}`, "row 1, column 21: expected compatibilities to be an object, found null"},
		{"compatibilities a list", `{"compatibilities":[]}`, "row 1, column 20: expected compatibilities to be an object, found a list"},
		{"a group with a number", `{"compatibilities":{"g":1}}`, `row 1, column 25: expected group "g" to be an object, found 1`},
		{"a group with a bool", `{"compatibilities":{"g":true}}`, `row 1, column 25: expected group "g" to be an object, found true`},
		{"a nested value", "{\"compatibilities\":\n {\"g\":\n  {\"ok\":1,\n   \"a\" : {\"b\":1}}}}", `row 4, column 10: group "g", key "a": ` + scalar + "an object"},
		{"a list as value", `{"compatibilities":{"g":{"a":[1]}}}`, `row 1, column 30: group "g", key "a": ` + scalar + "a list"},
		{"null as value", `{"compatibilities":{"g":{"a":null}}}`, `row 1, column 30: group "g", key "a": ` + scalar + "null"},
		{"a key twice", `{"compatibilities":{"g":{"a":1, "a":1}}}`, `row 1, column 33: the key "a" is given twice`},
		{"a key twice, spelt by escape", `{"compatibilities":{"g":{"a":1,"\u0061":2}}}`, `row 1, column 32: the key "a" is given twice`},
		{"a group twice", `{"compatibilities":{"g":{},"g":{}}}`, `row 1, column 28: the key "g" is given twice`},
		{"compatibilities twice", `{"compatibilities":{},"compatibilities":{}}`, `row 1, column 23: the key "compatibilities" is given twice`},
		{"another key twice", `{"x":1,"compatibilities":{},"x":1}`, `row 1, column 29: the key "x" is given twice`},
		{"text behind", `{"compatibilities":{}} x`, "row 1, column 24: invalid character 'x' after top-level value"},
		{"two documents", "{\"compatibilities\":{}}\n{}", "row 2, column 1: invalid character '{' after top-level value"},
		{"a trailing comma", `{"compatibilities":{"g":{"a":1,}}}`, "row 1, column 32: invalid character '}' looking for beginning of object key string"},
		{"a comment", "{ // why\n}", "row 1, column 3: invalid character '/' looking for beginning of object key string"},
		{"no UTF-8", "{\"compatibilities\":\n{\"g\":{\"a\":\"\xff\"}}}", "row 2, column 12: the text is not UTF-8"},
		{"broken in a skipped key", "{\"x\":[1,\n2 3],\"compatibilities\":{}}", "row 2, column 3: invalid character '3' after array element"},
		{"deep in a skipped key", `{"x":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `,"compatibilities":{}}`, "row 1, column 10005: invalid character '[' exceeded max depth"},
		{"too many attributes", attributes(10_001), fmt.Sprintf("row 1, column %d: more than 10000 attributes", len(attributes(10_001))-len(`some text"}}}`))},
		{"too long", `"` + strings.Repeat("x", 4<<20) + `"`, "the document has 4194306 bytes, more than 4194304"},
		{"a huge key", `{"compatibilities":{"` + strings.Repeat("k", hugeText) + `":1}}`,
			`row 1, column 4194228: expected group "` + strings.Repeat("k", 200) + `..." to be an object, found 1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			refused(t, []byte(tt.body), tt.want)
		})
	}
}

func TestProposalFTakesTenThousandAttributes(t *testing.T) {
	t.Parallel()
	got, err := compattest.Attributes(t, []byte(attributes(10_000)))
	if err != nil || len(got) != 10_000 {
		t.Errorf("got %d attributes and %v, want 10000", len(got), err)
	}
}

// FuzzProposalF: whatever the bytes are, the answer is attributes or an
// error, never both, and the attributes say what the document said.
func FuzzProposalF(f *testing.F) {
	for _, dir := range []string{"outline", "as-printed"} {
		files, err := filepath.Glob(filepath.Join(compattest.Testdata, dir, "*.json"))
		if err != nil || len(files) == 0 {
			f.Fatal("no samples", err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(body)
		}
	}
	for _, s := range []string{``, `{}`, `null`, `{"compatibilities":{"":{"":""}}}`, `{"a":[{}],"compatibilities":{}}`, `{"compatibilities":{"g":{"a":1e400}}}`} {
		f.Add([]byte(s))
	}
	in := testkit.Interpreter(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := compattest.Attributes(t, body)
		if err != nil {
			if got != nil || !strings.HasPrefix(err.Error(), "row ") {
				t.Fatalf("half read: %v, %v", got, err)
			}
			return
		}
		again, err := compattest.Attributes(t, outline(t, got))
		if err != nil || !slices.Equal(got, again) {
			t.Fatalf("read %v, written and read again %v, %v", got, again, err)
		}
		for _, r := range in.Requirements(got) {
			if r.Want() == "" || r.Unclear == "" && len(r.Terms) == 0 && len(r.Parts) == 0 {
				t.Errorf("%v gives an empty requirement %+v", got, r)
			}
		}
	})
}
