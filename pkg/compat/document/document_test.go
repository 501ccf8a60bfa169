package document_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/compat/document"
)

// places lists every value with its row, column and the text that it is written
// with.
func places(body string, n *document.Node) []string {
	text := ""
	if n.Length >= 0 {
		text = body[n.At : n.At+n.Length]
	}
	all := []string{fmt.Sprintf("%d:%d %s %q", n.Row, n.Column, n.Tag, text)}
	for key, value := range n.Pairs {
		all = append(all, places(body, key)...)
		all = append(all, places(body, value)...)
	}
	for _, member := range n.Members() {
		all = append(all, places(body, member)...)
	}
	return all
}

func TestValuesKnowWhereTheyAreWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, want string }{
		"JSON": {"{\"a\": [1, \"é\\n\", true],\n \"é\": {\"b\": null, \"c\": 1.5}}",
			`1:1  "" 1:2 str "a" 1:7  "" 1:8 int "1" 1:11 str "" 1:19 bool "true" ` +
				`2:2 str "é" 2:8  "" 2:9 str "b" 2:14 null "null" 2:20 str "c" 2:25 float "1.5"`},
		"YAML": {"# one\na: ['é', \"é\", é, x]\nb:\n  - yes # two\n  - |\n    text\n",
			`2:1  "" 2:1 str "a" 2:4  "" 2:5 str "é" 2:11 str "é" 2:17 str "é" 2:21 str "x" ` +
				`3:1 str "b" 4:3  "" 4:5 str "yes" 5:5 str ""`},
		"JSON that YAML takes as well": {"{a: 1,}", `1:1  "" 1:2 str "a" 1:5 int "1"`},
	}
	for name, tt := range tests {
		root, err := document.Parse([]byte(tt.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(places(tt.body, root), " "); got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, tt.want)
		}
	}
}

func TestHostileDocumentsAreRefused(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		fmt.Fprintf(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i, i)
	}
	tests := map[string]struct{ body, want string }{
		"deep JSON":         {strings.Repeat("[", 40) + strings.Repeat("]", 40), "row 1, column 34: nested deeper than 32"},
		"very deep JSON":    {strings.Repeat(`{"a":`, 1<<19), "exceeded max depth"},
		"deep YAML":         {strings.Repeat("- ", 40) + "a", "row 1, column 65: nested deeper than 32"},
		"many values, JSON": {"[" + strings.Repeat("1,", 50_001) + "1]", "more than 50000 values"},
		"many values, YAML": {strings.Repeat("- a\n", 50_001), "the document may have more than 50000 values"},
		"large JSON":        {`{"a": "` + strings.Repeat("x", 4<<20) + `"}`, "the document has 4194313 bytes, more than 4194304"},
		"large YAML":        {"a: " + strings.Repeat("x", 1<<20), "the document has 1048579 bytes, more than 1048576"},
		"aliases":           {bomb.String(), "row 1, column 5: anchors and aliases are not read"},
		"a tag":             {"a: !!binary aGk=", `row 1, column 4: the tag "!!binary" is not read`},
		"a key twice":       {`{"a": 1, "\u0061": 2}`, `row 1, column 10: the key "a" is given twice`},
		"not UTF-8":         {"é: \xff", "row 1, column 5: the text is not UTF-8"},
	}
	for name, tt := range tests {
		root, err := document.Parse([]byte(tt.body))
		if err == nil || !strings.Contains(err.Error(), tt.want) || root != nil {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestLongRowsAreReadOnce: columns of YAML count characters, and a row of them
// must not be counted again for each value.
func TestLongRowsAreReadOnce(t *testing.T) {
	t.Parallel()
	body := "[" + strings.Repeat("é,", 45_000) + "é]"
	begin := time.Now()
	root, err := document.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	const enough = 30 * time.Second // counting again takes minutes
	if took := time.Since(begin); took > enough {
		t.Errorf("took %s", took)
	}
	if last := root.Values[len(root.Values)-1]; last.Column != len(body)-len("é]")+1 {
		t.Errorf("the last value is in column %d of %d", last.Column, len(body))
	}
}

func FuzzParseFindsItsOwnText(f *testing.F) {
	for _, seed := range []string{`{"a": ["b", 1.5, null]}`, "a: 'é'\nb: [x, \"y\"]\n", "{a: 1,}", "- &a b\n- *a", "\u0085a: b", "\r\n? a\n: b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		root, err := document.Parse(body)
		if (err == nil) != (root != nil) {
			t.Fatalf("%v, %v", root, err)
		}
		if err != nil {
			return
		}
		var walk func(n *document.Node)
		walk = func(n *document.Node) {
			if n.Length >= 0 && n.Tag == "str" && string(body[n.At:n.At+n.Length]) != n.Value {
				t.Errorf("%q is not where it is written: %q", n.Value, body[n.At:n.At+n.Length])
			}
			for _, key := range n.Keys {
				walk(key)
			}
			for _, value := range n.Values {
				walk(value)
			}
		}
		walk(root)
	})
}

// FuzzValues: what passes the count is small.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{``, `{}`, `[1,[2,{"a\"":3}]]`, `"a,b"`, "a: [b, c]\n- d\n? e\n: f", "{a, b: c}", "|\n a\n b", "- - - a", `["\\",1]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		root, err := document.Parse(body)
		if err != nil {
			return
		}
		if nodes, most := count(root), document.MostValues(body); nodes > most {
			t.Fatalf("%d values, counted %d", nodes, most)
		}
	})
}

func count(n *document.Node) int {
	sum := 1 + len(n.Keys)
	for _, value := range n.Values {
		sum += count(value)
	}
	return sum
}
