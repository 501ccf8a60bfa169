package selector

import (
	"strconv"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
)

// ofKnownTarget makes unknown whether the CPU runs a target that archspec did not have
// when this version was made: its absence among those that it runs says nothing.
func ofKnownTarget(set, element string, fact facts.Fact) facts.Fact {
	if set == "cpu.archspec" && fact.State == facts.Absent && !archspec.Known(element) {
		return facts.Fact{Cause: "the CPU target is not known to this version"}
	}
	return fact
}

// targetCloseness says how much of the CPU what was built for a target of archspec
// uses: the number grows with the features of the target. Of two that use as many,
// the one in the lineage of a node's CPU is the closer.
func targetCloseness(target string, node *facts.Facts) int {
	c := archspec.Specificity(target)
	if c > 0 && archspec.Descends(node.Lookup("cpu.microarchitecture", "name").Value, target) {
		c += archspec.PerFeature / 2
	}
	return c
}

// levelCloseness is the closeness of a level that a platform declares: 1 to 4 of
// amd64; of ARM a hundred times the version, such as 802.
func levelCloseness(level int) int {
	const armVersion = 100
	switch {
	case level <= 0:
		return 0
	case level == 1:
		return archspec.Specificity("x86_64")
	case level < armVersion:
		levels := [...]string{2: "x86_64_v2", 3: "x86_64_v3", 4: "x86_64_v4"}
		return archspec.Specificity(levels[min(level, len(levels)-1)])
	}
	name := "armv" + strconv.Itoa(level/armVersion) + "." + strconv.Itoa(level%armVersion) + "a"
	return max(archspec.Specificity(name), level/armVersion) // of 32-bit ARM, v7 after v6
}

// closenessOf is what a requirement implies: an image that needs AVX2 was built for
// x86-64-v3, whatever its platform says. Of several ways to be compatible only the
// least is implied.
func closenessOf(req *compat.Requirement, node *facts.Facts) int {
	if req.Not || req.Unclear != "" {
		return 0
	}
	var c int
	switch req.Combine {
	case compat.Leaf:
		for i := range req.Terms {
			c = max(c, termCloseness(req.Set, &req.Terms[i], node))
		}
	case compat.AllOf:
		for i := range req.Parts {
			if part := &req.Parts[i]; part.Importance == compat.Required {
				c = max(c, closenessOf(part, node))
			}
		}
	case compat.AnyOf, compat.OneOf:
		for i := range req.Parts {
			if part := closenessOf(&req.Parts[i], node); i == 0 || part < c {
				c = part
			}
		}
	}
	return c
}

func termCloseness(set string, t *compat.Term, node *facts.Facts) int {
	switch {
	case set == "cpu.cpuid" && t.Op == compat.Exists:
		return levelCloseness(facts.X86LevelOfFlag(t.Element))
	case set == "cpu.archspec" && t.Op == compat.Exists:
		return targetCloseness(t.Element, node)
	case set == "cpu.x86_64" && t.Element == "level" && t.Op == compat.Ge && len(t.Values) == 1:
		return levelCloseness(number(t.Values[0]))
	case set == "cpu.arm64" && t.Element == "level" && t.Op == compat.Ge && len(t.Values) == 1:
		return targetCloseness("armv"+t.Values[0]+"a", node)
	default:
		return 0
	}
}
