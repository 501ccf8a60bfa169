package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
	"github.com/imagefit/imagefit/pkg/selector"
	"github.com/imagefit/imagefit/pkg/version"
)

// together looks at conditions that must all hold. What is wrong is reported for
// the last one that takes part in it, if it is not one of the first fixed ones,
// which were looked at before.
func (r *run) together(asks []*ask, fixed int) {
	groups := map[string][]int{}
	var order []string
	for i, a := range asks {
		key := fmt.Sprintf("%s %d %s", a.set, a.instance, a.term.Element)
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], i)
	}
	for _, key := range order {
		group := groups[key]
		last := asks[group[len(group)-1]]
		if group[len(group)-1] < fixed || len(group) < 2 || last.term.Element == "" {
			continue
		}
		terms := make([]compat.Term, len(group))
		for i, at := range group {
			terms[i] = asks[at].term
		}
		if !canHold(terms) {
			req := compat.Requirement{Set: last.set, Terms: terms}
			r.at(last.name, codeContradiction).say(last.term.Element, "this can never hold: "+req.Want(), "")
		}
	}
	r.architectures(asks, fixed)
}

// canHold tries values of one element, and its absence, until all conditions
// hold. What no node could decide does not hold.
func canHold(terms []compat.Term) bool {
	const set, element = "lint.tried", "element"
	tried := compat.Requirement{Set: set}
	listed := false
	for _, t := range terms {
		t.Element = element
		tried.Terms = append(tried.Terms, t)
		listed = listed || t.Op == compat.In
	}
	holds := func(attributes map[string]string) bool {
		facts := facts.New("linux", "", facts.Features{Attributes: map[string]map[string]string{set: attributes}})
		return selector.Evaluate(facts, []compat.Requirement{tried}).Outcome == selector.Fits
	}
	if !listed && slices.ContainsFunc(terms, func(t compat.Term) bool { return t.Op == compat.InRegexp }) {
		return true // some text may be like it
	}
	return holds(map[string]string{}) || slices.ContainsFunc(samples(terms), func(value string) bool {
		return holds(map[string]string{element: value})
	})
}

// samples are values about those in the terms: each itself, and a little more
// and less.
func samples(terms []compat.Term) []string {
	values := []string{"true", "false", "0", "999999999", "any other text"}
	for _, t := range terms {
		for _, value := range t.Values {
			values = append(values, value, value+".0.0.0.1")
			v, ok := version.Parse(value)
			if last := len(v) - 1; ok && v[last] > 0 {
				less := slices.Clone(v)
				less[last]--
				more := slices.Clone(v)
				more[last]++
				values = append(values, less.String()+".999999999", less.String(), more.String())
			}
		}
	}
	return values
}

// architectures looks for things of which no CPU has both.
func (r *run) architectures(asks []*ask, fixed int) {
	var first *ask
	for i, a := range asks {
		arch := r.archOf(a)
		switch {
		case arch == "":
		case first == nil:
			first = a
		case r.archOf(first) != arch && i >= fixed:
			r.at(a.name, codeWrongArch).say(a.term.Element,
				fmt.Sprintf("%s is of %s, and %s of %s", a.term.Element, arch, first.term.Element, r.archOf(first)), "one architecture")
			return
		}
	}
}

// archOf is the architecture that alone can have what is asked for.
func (r *run) archOf(a *ask) string {
	if a.term.Op != compat.Exists {
		return ""
	}
	switch a.set {
	case "cpu.cpuid":
		if slices.Contains(r.words.x86, a.term.Element) {
			return "x86"
		}
	case "cpu.archspec":
		names := append(archspec.Ancestors(a.term.Element), a.term.Element)
		for _, family := range []string{"x86", "x86_64", "aarch64", "arm", "ppc64le", "ppc64", "riscv64", "s390x"} {
			if slices.Contains(names, family) {
				return strings.TrimSuffix(family, "_64")
			}
		}
	}
	return ""
}

// versionParts looks for a version that is compared part by part: "6.1 or
// later" as major 6 and minor 1 or more is false of 7.0. Where another way
// takes the later ones, it is what it should be.
func (r *run) versionParts(asks []*ask, later bool) {
	if later {
		return
	}
	for _, minor := range asks {
		parts, ok := partsOf(minor.set, minor.term.Element, "minor")
		if !ok || !isAtLeast(minor.term.Op) {
			continue
		}
		for _, major := range asks {
			_, isMajor := partsOf(major.set, major.term.Element, "major")
			if !isMajor || major.set != minor.set || major.term.Op != compat.In && !isAtLeast(major.term.Op) {
				continue
			}
			r.at(minor.name, codeVersionParts).say(minor.term.Element,
				"a later major version with a small minor one, such as 7.0, is refused", parts)
		}
	}
}

// partsOf tells an element that is one part of a version, and how to ask for
// the whole.
func partsOf(set, element, part string) (expected string, ok bool) {
	switch {
	case set == "kernel.version" && element == part:
		return "one comparison of full with type: version, or two ways: major Gt 6, or major In 6 with minor Ge 1", true
	case set == "system.osrelease" && element == "VERSION_ID."+part:
		return "one comparison of VERSION_ID", true
	default:
		return "", false
	}
}

func isAtLeast(op compat.Op) bool { return op == compat.Ge || op == compat.Gt }

// takesLater reports whether one of the conditions takes any later major
// version.
func takesLater(asks []*ask) bool {
	later, minor := false, false
	for _, a := range asks {
		if _, ok := partsOf(a.set, a.term.Element, "major"); ok && isAtLeast(a.term.Op) {
			later = true
		}
		if _, ok := partsOf(a.set, a.term.Element, "minor"); ok {
			minor = true
		}
	}
	return later && !minor
}
