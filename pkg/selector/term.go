package selector

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/version"
)

// condition is a term, ready to be compared with any number of values.
type condition struct {
	*compat.Term
	regexps []*regexp.Regexp // of InRegexp
}

// conditionOf compiles the regular expressions of a term. Those that its parser did
// not count are not compiled.
func conditionOf(t *compat.Term) condition {
	c := condition{Term: t}
	if t.Op != compat.InRegexp || len(t.Programs) != len(t.Values) {
		return c
	}
	for _, pattern := range t.Values {
		if re, err := regexp.Compile(pattern); err == nil {
			c.regexps = append(c.regexps, re)
		}
	}
	return c
}

// holds decides one term on one fact. What is absent has no value, so only
// DoesNotExist, NotIn, IsFalse and the operator that asks nothing hold of it.
func (t condition) holds(fact facts.Fact) Outcome {
	if fact.State == facts.Unknown {
		return Unknown
	}
	present := fact.State == facts.Present
	switch t.Op {
	case compat.Any:
		return Fits
	case compat.Exists:
		return known(present)
	case compat.DoesNotExist:
		return known(!present)
	case compat.In:
		return known(present && slices.Contains(t.Values, fact.Value))
	case compat.NotIn:
		return known(!present || !slices.Contains(t.Values, fact.Value))
	case compat.IsTrue:
		return known(present && strings.EqualFold(fact.Value, "true"))
	case compat.IsFalse:
		return known(!present || strings.EqualFold(fact.Value, "false"))
	case compat.InRegexp:
		if len(t.regexps) != len(t.Values) {
			return Unknown
		}
		return known(present && slices.ContainsFunc(t.regexps, func(re *regexp.Regexp) bool { return re.MatchString(fact.Value) }))
	case compat.Gt, compat.Ge, compat.Lt, compat.Le, compat.GtLt, compat.GeLe:
		if !present {
			return Unfit
		}
		return compare(t.Term, fact.Value)
	default:
		return Unknown
	}
}

// compare orders numbers and versions alike: a number is a version of one part,
// if it is not negative.
func compare(t *compat.Term, value string) Outcome {
	between := t.Op == compat.GtLt || t.Op == compat.GeLe
	if between && len(t.Values) != 2 || !between && len(t.Values) != 1 {
		return Unknown
	}
	c, ok := order(value, t.Values[0])
	if !ok {
		return Unknown
	}
	switch t.Op {
	case compat.Gt:
		return known(c > 0)
	case compat.Ge:
		return known(c >= 0)
	case compat.Lt:
		return known(c < 0)
	case compat.Le:
		return known(c <= 0)
	}
	d, ok := order(value, t.Values[1])
	switch {
	case !ok:
		return Unknown
	case t.Op == compat.GtLt:
		return known(c > 0 && d < 0)
	default:
		return known(c >= 0 && d <= 0)
	}
}

func order(have, want string) (int, bool) {
	if strings.HasPrefix(have, "-") || strings.HasPrefix(want, "-") {
		h, haveErr := strconv.ParseInt(have, 10, 64)
		w, wantErr := strconv.ParseInt(want, 10, 64)
		return cmp.Compare(h, w), haveErr == nil && wantErr == nil
	}
	return version.Compare(have, want)
}

// number is s as a number, and 0 for anything else. It makes no error that is
// thrown away: most of what is asked is no level.
func number(s string) int {
	if len(s) == 0 || len(s) > 4 {
		return 0
	}
	n := 0
	for _, digit := range []byte(s) {
		if digit < '0' || digit > '9' {
			return 0
		}
		n = n*10 + int(digit-'0')
	}
	return n
}
