package document_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat/document"
)

// The words of the parsers are translated as they are today; a new version of one that
// has others fails here.
func TestSyntaxErrorsArePutIntoPlainWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a": 1,}`:                      "a name is expected before '}': the comma before it is one too many",
		`{"a": [1,]}`:                    "a value is expected before ']': the comma before it is one too many",
		`{"a": 1`:                        "the text ends too early: a bracket, a brace or a quote is not closed",
		`{'a': 1}`:                       "names are written in double quotes, not in single ones",
		`{"a": 'b'}`:                     "texts are written in double quotes, not in single ones",
		`{a: 1}`:                         "a name in double quotes is expected, and not 'a'",
		`{"a": True}`:                    "true, false and null are written in lower case",
		`{"a": b}`:                       "a value is expected, and not 'b': texts are written in double quotes",
		`{"a": /* b */ 1}`:               "JSON has no comments",
		`{"a": 1 "b": 2}`:                `a comma or } is expected before '"'`,
		`{"a": [1 2]}`:                   "a comma or ] is expected before '2'",
		`{"a" 1}`:                        "a colon is expected before '1'",
		`{"a": 1} x`:                     "there is something behind the end of the document: 'x'",
		"a:\n\t- b\n":                    "YAML is indented with spaces",
		"a:\n- b:\n  - c: d\n\t  e: f\n": "a tab in the indentation: YAML is indented with spaces",
		"a: b: c\n":                      "a key with a value is not expected here: check the indentation",
		"a:\n  b: 1\n c: 2\n":            "check the indentation",
		"a: 1\nb\nc: 2\n":                "a key without a colon",
	} {
		_, err := document.Parse([]byte(text))
		if strings.HasPrefix(text, "{") {
			_, err = document.ParseJSON([]byte(text))
		}
		if err == nil {
			t.Errorf("%q: no error", text)
			continue
		}
		if got := document.Plain(err.Error()); !strings.Contains(got, want) || !strings.Contains(got, "row ") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	const other = "registry.example answered 404 Not Found"
	if got := document.Plain(other); got != other {
		t.Errorf("another text became %q", got)
	}
}
