package selector

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/version"
)

func check(facts *hostfacts.Facts, req compat.Requirement) Check {
	c := Check{Requirement: req, list: -1}
	switch {
	case req.Unclear != "" && req.Strict:
		c.Outcome = Unfit
		return c
	case req.Unclear != "":
		return c
	case len(req.Terms) == 0:
		c.Fact.Cause = "nothing is said of it"
		return c
	case facts.HasInstances(req.Set):
		var list []map[string]string
		list, c.Fact = facts.Instances(req.Set)
		if c.Fact.State == hostfacts.Present {
			c.list = len(list)
			c.Outcome = anyInstance(list, req.Terms)
		}
	default:
		c.Outcome, c.Fact = allTerms(facts, req)
	}
	if req.Not {
		c.Outcome = not(c.Outcome)
	}
	return c
}

func not(o Outcome) Outcome {
	switch o {
	case Fits:
		return Unfit
	case Unfit:
		return Fits
	default:
		return Unknown
	}
}

// allTerms holds every term against its own element. The fact it returns is
// that of the first term that decides.
func allTerms(facts *hostfacts.Facts, req compat.Requirement) (Outcome, hostfacts.Fact) {
	outcome, decided := Fits, hostfacts.Fact{}
	for i, term := range req.Terms {
		fact := facts.Lookup(req.Set, term.Element)
		o := holds(term, fact)
		if i == 0 || and(outcome, o) != outcome {
			decided = fact
		}
		outcome = and(outcome, o)
	}
	return outcome, decided
}

// anyInstance looks for one device on which all the terms hold. Where there is
// none, but a value of a device cannot be compared, nobody knows.
func anyInstance(list []map[string]string, terms []compat.Term) Outcome {
	best := Unfit
	for _, device := range list {
		switch allOf(device, terms) {
		case Fits:
			return Fits
		case Unknown:
			best = Unknown
		}
	}
	return best
}

func allOf(device map[string]string, terms []compat.Term) Outcome {
	outcome := Fits
	for _, t := range terms {
		fact := hostfacts.Fact{State: hostfacts.Absent}
		if v, ok := device[t.Element]; ok {
			fact = hostfacts.Fact{State: hostfacts.Present, Value: v}
		}
		outcome = and(outcome, holds(t, fact))
	}
	return outcome
}

// holds decides one term on one fact. What is absent has no value, so only
// DoesNotExist, NotIn and IsFalse hold of it.
func holds(t compat.Term, fact hostfacts.Fact) Outcome {
	if fact.State == hostfacts.Unknown {
		return Unknown
	}
	present := fact.State == hostfacts.Present
	switch t.Op {
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
	case compat.Gt, compat.Ge, compat.Lt, compat.Le:
		if !present {
			return Unfit
		}
		return compare(t, fact.Value)
	default:
		return Unknown
	}
}

func known(holds bool) Outcome {
	if holds {
		return Fits
	}
	return Unfit
}

// compare orders numbers and versions alike: a number is a version of one part,
// if it is not negative.
func compare(t compat.Term, value string) Outcome {
	if len(t.Values) != 1 {
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
	default:
		return known(c <= 0)
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

// level says which micro-architecture level a requirement implies: an image
// that needs AVX2 was built for x86-64-v3, whatever its platform says.
func level(req compat.Requirement) int {
	if req.Not || req.Unclear != "" {
		return 0
	}
	n := 0
	for _, t := range req.Terms {
		switch {
		case req.Set == "cpu.cpuid" && t.Op == compat.Exists:
			n = max(n, hostfacts.X86LevelOfFlag(t.Element))
		case req.Set == "cpu.archspec" && t.Op == compat.Exists:
			n = max(n, number(strings.TrimPrefix(t.Element, "x86_64_v")))
		case req.Set == "cpu.x86_64" && t.Element == "level" && t.Op == compat.Ge && len(t.Values) == 1:
			n = max(n, number(t.Values[0]))
		}
	}
	return n
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
