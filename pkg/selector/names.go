package selector

import (
	"cmp"

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
	if set != ruleMatched {
		return e.facts.Lookup(set, element)
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
	found := nameSearch{term: c.Requirement.Name, outcome: Unfit}
	whole := facts.Fact{State: facts.Present}
	if c.Requirement.Set == ruleMatched {
		e.definedNames(&found)
	} else {
		names, state := e.facts.Names(c.Requirement.Set)
		whole = state
		for name, fact := range names {
			if !found.look(name, fact) {
				break
			}
		}
	}
	if found.outcome == Unfit && whole.State == facts.Unknown {
		found.outcome, found.cause = Unknown, whole.Cause
	}
	if outcome := and(c.Outcome, found.outcome); outcome != c.Outcome || len(c.Requirement.Terms) == 0 {
		c.Outcome, c.term = outcome, -1
		c.Fact = facts.Fact{State: facts.Present}
		if c.list = 0; found.outcome == Unknown {
			c.Fact = facts.Fact{Cause: found.cause}
		}
	}
}

func (e *evaluation) definedNames(found *nameSearch) {
	for _, d := range e.defined {
		if d.outcome == Unfit {
			continue
		}
		for name, value := range d.by.Defines {
			if !found.look(name, d.fact(value)) {
				return
			}
		}
	}
}

// nameSearch is what is known of a name so far. Names come in no order, so of
// several that leave it unknown the first by name gives the cause.
type nameSearch struct {
	term        *compat.Term
	outcome     Outcome
	name, cause string
}

// look returns false once a name is found.
func (s *nameSearch) look(name string, fact facts.Fact) bool {
	outcome := holds(s.term, facts.Fact{State: facts.Present, Value: name})
	cause := "a name cannot be compared"
	if outcome == Fits && fact.State == facts.Unknown {
		outcome, cause = Unknown, fact.Cause
	}
	switch {
	case outcome == Fits:
		s.outcome = Fits
		return false
	case outcome == Unknown && (s.outcome == Unfit || name < s.name):
		s.outcome, s.name, s.cause = Unknown, name, cause
	}
	return true
}
