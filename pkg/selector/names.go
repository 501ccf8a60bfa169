package selector

import (
	"cmp"
	"iter"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
)

// ruleMatched is the set of what earlier requirements define. Only those of the
// same AllOf are visible: no fact of the node is involved.
const ruleMatched = "rule.matched"

// definition is a requirement that defines something where it holds.
type definition struct {
	by      *compat.Requirement
	outcome Outcome
}

func (d definition) fact(value string) facts.Fact {
	if d.outcome == Fits {
		return facts.Fact{State: facts.Present, Value: value}
	}
	return facts.Fact{Cause: "whether " + cmp.Or(d.by.Title, d.by.Key) + " holds is unknown"}
}

func (e *evaluation) lookup(set, element string) facts.Fact {
	if fact, ok := e.ofDevice(set, element); ok {
		return fact
	}
	if set != ruleMatched {
		return ofKnownTarget(set, element, e.facts.Lookup(set, element))
	}
	for i := len(e.defined) - 1; i >= 0; i-- { // a later rule overrules
		d := e.defined[i]
		if value, ok := d.by.Defines[element]; ok && d.outcome != Unfit {
			return d.fact(value)
		}
	}
	return facts.Fact{State: facts.Absent}
}

// name looks for an element whose name is as asked, after the terms. A name
// that only may be there, or that cannot be compared, leaves it unknown.
func (e *evaluation) name(c *Check) {
	names, whole := e.names(c.Requirement.Set)
	found, first, cause := Unfit, "", ""
	asked := conditionOf(c.Requirement.Name)
	for name, fact := range names {
		outcome, why := asked.holds(facts.Fact{State: facts.Present, Value: name}), "a name cannot be compared"
		if outcome == Fits && fact.State == facts.Unknown {
			outcome, why = Unknown, fact.Cause
		}
		if outcome == Fits {
			found = Fits
			break
		}
		// Names come in no order, so of several the first by name gives the cause.
		if outcome == Unknown && (found == Unfit || name < first) {
			found, first, cause = Unknown, name, why
		}
	}
	if found == Unfit && whole.State == facts.Unknown {
		found, cause = Unknown, whole.Cause
	}
	if outcome := and(c.Outcome, found); outcome != c.Outcome || len(c.Requirement.Terms) == 0 {
		c.Outcome, c.term, c.list = outcome, -1, 0
		c.Fact = facts.Fact{State: facts.Present}
		if found == Unknown {
			c.Fact = facts.Fact{Cause: cause}
		}
	}
}

// names yields the elements of a set, and says whether they are known in whole.
func (e *evaluation) names(set string) (iter.Seq2[string, facts.Fact], facts.Fact) {
	if set != ruleMatched {
		return e.facts.Names(set)
	}
	defined := e.defined // the closure must not move the evaluation to the heap
	return func(yield func(string, facts.Fact) bool) {
		for _, d := range defined {
			if d.outcome == Unfit {
				continue
			}
			for name, value := range d.by.Defines {
				if !yield(name, d.fact(value)) {
					return
				}
			}
		}
	}, facts.Fact{State: facts.Present}
}
