package selector

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
)

// maxReasons is how many requirements a reason names, and how many ways of each
// to be compatible: it is for people.
const maxReasons = 8

// maxDepth is how deep a reason follows requirements made of others.
const maxDepth = 4

// Reason says in a few words what keeps the candidate from fitting, such as
// "needs cpu.cpuid AVX2 (absent)"; it is empty for one that fits.
func (v Verdict) Reason() string {
	if words := v.inBrief().String(); words != "" {
		return "needs " + words
	}
	return ""
}

// maxCompared bounds how many checks are compared with each other.
const maxCompared = 64

// once leaves out checks that say what an earlier one says: two artifacts may ask for the
// same.
func once(list []*Check) []*Check {
	var kept []*Check
	seen := map[string]bool{}
	for i, c := range list {
		if i >= maxCompared {
			return append(kept, list[i:]...)
		}
		if words := c.want() + " " + c.Have() + " " + c.Requirement.Origin; !seen[words] {
			seen[words] = true
			kept = append(kept, c)
		}
	}
	return kept
}

// sentence names what each of the checks wants and what the node has.
func sentence(list []*Check, between string, depth int) string {
	return join(list, between, func(c *Check) string {
		if newer := c.wantNewer(); newer != "" {
			return newer
		}
		if c.isChoice() && depth < maxDepth {
			return c.choice(depth + 1)
		}
		have := c.Have()
		if origin := c.Requirement.Origin; origin != "" {
			have += ", stated in " + origin
		}
		return c.want() + " (" + have + ")"
	})
}

// join puts the words about each of the checks together, at most maxReasons of them.
func join(list []*Check, between string, words func(*Check) string) string {
	var parts []string
	for _, c := range list[:min(len(list), maxReasons)] {
		parts = append(parts, words(c))
	}
	if more := len(list) - maxReasons; more > 0 {
		parts = append(parts, "and "+strconv.Itoa(more)+" more")
	}
	return strings.Join(parts, between)
}

// isChoice tells a requirement that can be met in several ways, none of which
// holds.
func (c *Check) isChoice() bool {
	req := c.Requirement
	return req.Combine == compat.AnyOf && !req.Not && req.Unclear == "" && c.Outcome != Fits && len(c.ways()) > 1
}

// choice names what is missing in each way. What the node has is stated once
// where it is the same in all of them.
func (c *Check) choice(depth int) string {
	ways := c.ways()
	have := ways[0].deciding()[0].Have()
	differ := slices.ContainsFunc(ways[:min(len(ways), maxReasons)], func(way *Check) bool {
		list := way.deciding()
		return len(list) != 1 || list[0].isChoice() || list[0].Have() != have
	})
	if differ {
		return "one of: " + join(ways, "; ", func(way *Check) string { return sentence(way.deciding(), " and ", depth) })
	}
	return "one of: " + join(ways, "; ", func(way *Check) string { return way.deciding()[0].want() }) + " (" + have + ")"
}

// want names of several terms the one that decided.
func (c *Check) want() string {
	if req := c.Requirement; c.term >= 0 && c.Outcome != Fits && !req.Not {
		return req.WantTerm(int(c.term))
	}
	return c.Requirement.Want()
}

// Have says what the node has where the requirement asks, such as "absent" or
// "is 6.1.0".
func (c *Check) Have() string {
	negated := c.Requirement.Not
	switch {
	case c.skipped:
		return "not evaluated"
	case c.Requirement.Unclear != "":
		return "unknown: " + c.Requirement.Unclear
	case c.tooOld() != "":
		return c.tooOld()
	case c.Requirement.Combine != compat.Leaf:
		return c.haveParts()
	case c.Fact.State == facts.Unknown && c.Outcome == Unknown:
		return "unknown: " + c.Fact.Cause
	case c.list >= 0 && c.Outcome == Unknown:
		return "unknown: a value of a device cannot be compared"
	case c.list >= 0 && c.Outcome == Fits != negated:
		return "found"
	case c.list >= 0:
		return "none found"
	case c.Outcome == Unknown:
		return "unknown: it cannot be compared with " + strconv.Quote(c.Fact.Value)
	case c.Fact.State == facts.Present && c.Fact.Value != "":
		return "is " + c.Fact.Value
	default:
		return c.Fact.State.String()
	}
}

// haveParts says which part decided.
func (c *Check) haveParts() string {
	req := c.Requirement
	if c.best >= 0 && c.Outcome == Fits && !req.Not {
		used := c.Parts[c.best].Requirement
		return "holds: " + cmp.Or(used.Title, used.Want())
	}
	outcome := c.Outcome
	if req.Not {
		outcome = not(outcome)
	}
	switch {
	case outcome == Fits:
		return "holds"
	case outcome == Unknown:
		return c.firstOf(Unknown, "unknown")
	case req.Combine == compat.AllOf:
		return c.firstOf(Unfit, "does not hold")
	case req.Combine == compat.NoneOf:
		return c.firstOf(Fits, "does not hold")
	case c.best >= 0:
		return "more than one holds"
	default:
		return "none holds"
	}
}

// firstOf says what the node has of the first part that came out like this.
func (c *Check) firstOf(outcome Outcome, otherwise string) string {
	for i := range c.Parts {
		part := &c.Parts[i]
		if part.Outcome != outcome {
			continue
		}
		if list := part.deciding(); outcome != Fits {
			part = list[0]
		}
		have := part.Have()
		if outcome == Unknown {
			return have
		}
		return part.want() + " " + have
	}
	return otherwise
}
