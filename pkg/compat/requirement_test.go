package compat_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
)

// TestWantOfTreesReadsInWords: what people read of requirements made of others.
func TestWantOfTreesReadsInWords(t *testing.T) {
	t.Parallel()
	flag := func(name string) compat.Requirement {
		return compat.Requirement{Key: "g/" + name, Set: "cpu.cpuid", Terms: []compat.Term{{Element: name, Op: compat.Exists}}}
	}
	tree := func(combine compat.Combine, parts ...compat.Requirement) compat.Requirement {
		return compat.Requirement{Key: "k", Title: "called so", Combine: combine, Parts: parts}
	}
	not := func(r compat.Requirement) compat.Requirement { r.Not = true; return r }
	named := func(op compat.Op, values ...string) compat.Requirement {
		return compat.Requirement{Set: "cpu.cpuid", Name: &compat.Term{Op: op, Values: values}}
	}
	term := func(element string, op compat.Op, values ...string) compat.Requirement {
		return compat.Requirement{Set: "s", Terms: []compat.Term{{Element: element, Op: op, Values: values}}}
	}
	a, b := flag("A"), flag("B")
	tests := []struct {
		name string
		req  compat.Requirement
		want string
	}{
		{"all of", tree(compat.AllOf, a, b), "cpu.cpuid A and cpu.cpuid B"},
		{"any of", tree(compat.AnyOf, a, b), "one of: cpu.cpuid A; cpu.cpuid B"},
		{"any of one", tree(compat.AnyOf, a), "cpu.cpuid A"},
		{"one of", tree(compat.OneOf, a, b), "exactly one of: cpu.cpuid A; cpu.cpuid B"},
		{"none of", tree(compat.NoneOf, a, b), "none of: cpu.cpuid A; cpu.cpuid B"},
		{"not all of", not(tree(compat.AllOf, a, b)), "not all of: cpu.cpuid A; cpu.cpuid B"},
		{"not any of", not(tree(compat.AnyOf, a, b)), "none of: cpu.cpuid A; cpu.cpuid B"},
		{"not any of one", not(tree(compat.AnyOf, a)), "none of: cpu.cpuid A"},
		{"not one of", not(tree(compat.OneOf, a, b)), "not exactly one of: cpu.cpuid A; cpu.cpuid B"},
		{"not none of", not(tree(compat.NoneOf, a, b)), "one of: cpu.cpuid A; cpu.cpuid B"},
		{"any of all of", tree(compat.AnyOf, tree(compat.AllOf, a, b), tree(compat.AllOf, b)), "one of: (cpu.cpuid A and cpu.cpuid B); cpu.cpuid B"},
		{"nothing", tree(compat.AllOf), "called so"},
		{"nothing without a title", compat.Requirement{Key: "k", Combine: compat.AnyOf}, "k"},
		{"unclear", compat.Requirement{Key: "k", Combine: compat.AnyOf, Parts: []compat.Requirement{a}, Unclear: "why"}, "k"},
		{"a name", named(compat.In, "A", "B"), "cpu.cpuid any of A|B"},
		{"another name", named(compat.NotIn, "A"), "cpu.cpuid a name other than A"},
		{"a name like", named(compat.InRegexp, "^A"), "cpu.cpuid a name like ^A"},
		{"any name", named(compat.Any), "cpu.cpuid any name"},
		{"a name that is a number", named(compat.Gt, "5"), "cpu.cpuid a name that is > 5"},
		{"no name", not(named(compat.In, "A")), "no cpu.cpuid any of A"},
		{"between", term("n", compat.GtLt, "1", "2"), "s n between 1 and 2"},
		{"from and to", term("full", compat.GeLe, "1", "2"), "s from 1 to 2"},
		{"like", term("n", compat.InRegexp, "a", "b"), "s n like a|b"},
		{"any value", term("n", compat.Any), "s n of any value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.req.Want(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestWantIsCutToBeRead: a tree of any size is a few words.
func TestWantIsCutToBeRead(t *testing.T) {
	t.Parallel()
	leaf := compat.Requirement{Set: "s", Terms: []compat.Term{{Element: strings.Repeat("x", 10_000), Op: compat.Exists}}}
	tree := leaf
	for range 40 {
		tree = compat.Requirement{Combine: compat.AnyOf, Parts: []compat.Requirement{tree, leaf, leaf}}
	}
	if got := tree.Want(); len(got) > 300 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestWalkVisitsTheWholeBeforeItsParts(t *testing.T) {
	t.Parallel()
	reqs := []compat.Requirement{
		{Key: "a", Parts: []compat.Requirement{{Key: "b", Parts: []compat.Requirement{{Key: "c"}}}, {Key: "d"}}}, {Key: "e"},
	}
	var seen []string
	compat.Walk(reqs, func(r *compat.Requirement) {
		seen = append(seen, r.Key)
		r.Strict = true
	})
	if got := strings.Join(seen, " "); got != "a b c d e" {
		t.Errorf("walked %s", got)
	}
	if !reqs[0].Parts[0].Parts[0].Strict {
		t.Error("a part cannot be changed")
	}
}
