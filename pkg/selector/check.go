package selector

import (
	"cmp"
	"slices"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
)

// Check is the verdict on one requirement.
type Check struct {
	// Requirement is what was asked for. It points into what Evaluate was
	// given, so it must not be changed.
	Requirement *compat.Requirement
	Outcome     Outcome
	Fact        facts.Fact // what decided: of several terms the one that failed
	Parts       []Check    // of a requirement made of others, in their order

	// Small, since there is a Check for every requirement of every candidate.
	list    int32 // length of a list of instances, or -1
	term    int32 // the term that Fact decided, or -1
	best    int32 // of AnyOf and OneOf the part that is used, or -1
	gain    int   // what it adds to the score where it is used
	met     int32 // conditions that are required and hold
	skipped bool  // not evaluated: an earlier part decided
	unsure  bool  // unknown for an unclear part that policy takes for unfit
}

// maxCount keeps counts of what an artifact brought in small numbers.
const maxCount = 1 << 20

// evaluation is one walk over requirements.
type evaluation struct {
	facts *facts.Facts
	// free is room for all checks, made once: where all holds, nothing more is
	// allocated.
	free    []Check
	defined []definition
	// device is the one of each that is looked at, where a requirement has several.
	each   *compat.Each
	device map[string]string
}

// under is what a part inherits from the requirements above it.
type under struct {
	strict  bool // an unclear part does not hold
	negated bool // what does not hold here might make what is above hold
}

// room returns the place for n checks.
func (e *evaluation) room(n int) []Check {
	checks := e.free[:n:n]
	e.free = e.free[n:]
	return checks
}

// count is the number of requirements with all their parts.
func count(reqs []compat.Requirement) int {
	n := len(reqs)
	for i := range reqs {
		n += count(reqs[i].Parts)
	}
	return n
}

func (e *evaluation) check(c *Check, req *compat.Requirement, u under) {
	c.Requirement, c.list, c.term, c.best = req, -1, -1, -1
	u.strict = u.strict || req.Strict
	if e.each == nil && req.Each != nil {
		if kinds := kindsOf(e.facts, req.Each); len(kinds) > 1 {
			e.onEach(c, u, kinds)
			return
		}
	}
	switch {
	case req.Unclear != "":
		c.unsure = u.strict
		c.settle(u)
		return
	case req.Combine == compat.Leaf:
		e.leaf(c)
	default:
		e.combine(c, u)
	}
	if req.Not {
		c.Outcome, c.met, c.gain = not(c.Outcome), 0, 0
		if c.Outcome == Fits {
			c.met, c.gain = 1, req.Weight
		}
	}
	c.settle(u)
}

// settle makes what is unclear not hold, where policy says so and where this
// cannot make something above hold.
func (c *Check) settle(u under) {
	if c.unsure && !u.negated {
		c.unsure = false
		if c.Outcome == Unknown {
			c.Outcome = Unfit
		}
	}
}

func (e *evaluation) combine(c *Check, u under) {
	req := c.Requirement
	parts, scope := e.room(len(req.Parts)), len(e.defined)
	u.negated = u.negated || req.Not || req.Combine == compat.OneOf || req.Combine == compat.NoneOf
	t := tally{combine: req.Combine, best: -1}
	for i := range req.Parts {
		part := &req.Parts[i]
		e.check(&parts[i], part, u)
		t.add(i, &parts[i])
		if part.Defines != nil {
			e.defined = append(e.defined, definition{part, parts[i].Outcome})
		}
		if req.Prune && t.isDecided() {
			for rest := i + 1; rest < len(parts); rest++ {
				parts[rest] = Check{Requirement: &req.Parts[rest], list: -1, term: -1, best: -1, skipped: true}
			}
			break
		}
	}
	e.defined = e.defined[:scope]
	c.Parts, c.Outcome, c.best = parts, t.outcome(), t.best
	e.newer(c, "")
	c.unsure = t.unsure
	if c.Outcome == Fits {
		c.gain = req.Weight + t.gain
	}
	if c.Outcome == Fits || req.Combine == compat.AllOf {
		c.met = t.met
	}
}

func (e *evaluation) leaf(c *Check) {
	req := c.Requirement
	switch {
	case len(req.Terms) == 0 && req.Name == nil:
		c.Fact.Cause = "it states no condition"
		return
	case len(req.Terms) == 0:
		c.Outcome = Fits
	case req.Set != ruleMatched && e.facts.HasInstances(req.Set):
		e.instances(c)
	default:
		e.terms(c)
	}
	if req.Name != nil {
		e.name(c)
	}
	e.may(c)
	if c.Outcome == Fits {
		c.met, c.gain = int32(min(len(req.Terms), maxCount)), req.Weight
		if req.Name != nil {
			c.met++
		}
	}
}

// terms holds every term against its own element. The fact kept is that of the
// first term that decides.
func (e *evaluation) terms(c *Check) {
	req := c.Requirement
	c.Outcome = Fits
	unknown := 0
	for i := range req.Terms {
		term := &req.Terms[i]
		fact := e.lookup(req.Set, term.Element)
		if fact.State == facts.Unknown {
			unknown++
		}
		outcome := and(c.Outcome, conditionOf(term).holds(fact))
		if i == 0 || outcome != c.Outcome {
			c.Fact, c.term = fact, int32(min(i, maxCount))
		}
		c.Outcome = outcome
	}
	if unknown == len(req.Terms) { // no term more than another
		c.term = -1
	}
}

// instances looks for one device on which all the terms hold. Where there is
// none, but a value of a device cannot be compared, it is unknown.
func (e *evaluation) instances(c *Check) {
	var list []map[string]string
	list, c.Fact = e.facts.Instances(c.Requirement.Set)
	if c.Fact.State != facts.Present {
		return
	}
	c.list, c.Outcome = int32(min(len(list), maxCount)), Unfit
	conditions := conditionsOf(c.Requirement.Terms)
	conditions.facts, conditions.set = e.facts, c.Requirement.Set
	for _, device := range list {
		switch outcome, cause := conditions.on(device); outcome {
		case Fits:
			c.Outcome, c.Fact = Fits, facts.Fact{State: facts.Present}
			return
		case Unknown:
			if c.Outcome = Unknown; cause != "" {
				c.Fact = facts.Fact{Cause: cause}
			}
		}
	}
}

// conditions are terms that must hold together. Most lists of terms have no regular
// expression, and then nothing is allocated for them.
type conditions struct {
	terms    []compat.Term
	compiled []condition
	facts    *facts.Facts // that have the list of devices
	set      string
}

func conditionsOf(terms []compat.Term) conditions {
	c := conditions{terms: terms}
	if slices.ContainsFunc(terms, func(t compat.Term) bool { return t.Op == compat.InRegexp }) {
		for i := range terms {
			c.compiled = append(c.compiled, conditionOf(&terms[i]))
		}
	}
	return c
}

// on decides them on one device, and says why an attribute of it is unknown.
func (c conditions) on(device map[string]string) (outcome Outcome, cause string) {
	outcome = Fits
	for i := range c.terms {
		fact := facts.Fact{State: facts.Present}
		var has bool
		if fact.Value, has = device[c.terms[i].Element]; !has {
			fact = c.facts.MissingAttribute(c.set, c.terms[i].Element)
			cause = cmp.Or(cause, fact.Cause)
		}
		one := condition{Term: &c.terms[i]}
		if c.compiled != nil {
			one = c.compiled[i]
		}
		if outcome = and(outcome, one.holds(fact)); outcome == Unfit {
			return Unfit, ""
		}
	}
	return outcome, cause
}
