package lint

import (
	"fmt"
	"regexp"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/version"
)

// operands looks at the values that go with an operator.
func (r *run) operands(a *ask) bool {
	t := &a.term
	want, text := "", ""
	switch n := t.Op.Values(); {
	case n < 0 && len(t.Values) == 0:
		want, text = "at least one value", "nothing is in an empty list"
	case n > 0:
		want, text = wantNumbers(t, n)
	case n == 0 && len(t.Values) > 0:
		want, text = "no value", fmt.Sprintf("the operator %s takes no value", t.Op)
	}
	if t.Op == compat.InRegexp && want == "" {
		for _, pattern := range t.Values {
			if _, err := regexp.Compile(pattern); err != nil {
				want, text = "a regular expression of Go", fmt.Sprintf("read %s: %v", textutil.Quote(pattern), err)
				break
			}
			t.Programs = append(t.Programs, len(pattern))
		}
	}
	if want != "" {
		r.at(a.op, codeOperatorValues).say(a.name.Value, text, want)
	}
	return want == ""
}

func wantNumbers(t *compat.Term, n int) (want, text string) {
	if len(t.Values) != n {
		return fmt.Sprintf("%d", n), fmt.Sprintf("the operator %s has %d values", t.Op, len(t.Values))
	}
	for _, value := range t.Values {
		if _, ok := version.Parse(value); !ok && (len(value) < 2 || value[0] != '-') {
			return "a number or a version", textutil.Quote(value) + " cannot be compared"
		}
	}
	if n == 2 {
		if c, ok := version.Compare(t.Values[0], t.Values[1]); ok && c >= 0 {
			return "the smaller one first", fmt.Sprintf("%s is not less than %s", textutil.Quote(t.Values[0]), textutil.Quote(t.Values[1]))
		}
	}
	return "", ""
}
