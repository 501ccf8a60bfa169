package selector

import (
	"fmt"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
)

// Outcome is the answer to "does it fit?".
type Outcome uint8

// The three outcomes. The zero value is Unknown: nothing was evaluated.
const (
	Unknown Outcome = iota // some required fact could not be decided
	Unfit                  // a requirement is known not to hold
	Fits                   // everything required is known to hold
)

// String returns the outcome as users read it.
func (o Outcome) String() string {
	return [...]string{"unknown", "does not fit", "fits"}[min(o, Fits)]
}

// MarshalText writes the outcome as users read it.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads an outcome.
func (o *Outcome) UnmarshalText(text []byte) error {
	for _, known := range []Outcome{Unknown, Unfit, Fits} {
		if string(text) == known.String() {
			*o = known
			return nil
		}
	}
	return fmt.Errorf("read outcome %q: it is not one of unknown, does not fit, fits", text)
}

// Verdict is the result of evaluating one candidate.
type Verdict struct {
	Outcome Outcome
	Checks  []Check // of each requirement, in their order; none in brief
	Score   int     // sum of the weights of the preferences that hold
	// Closeness grows with how much of the CPU the target uses that the
	// requirements imply; 0 where they imply none.
	Closeness int
	Met       int // required conditions that hold

	brief brief // in place of Checks
}

// Evaluate evaluates the requirements on the facts, as the parts of one AllOf. It
// looks at every part of every requirement, also of a candidate that is known not to
// fit, since people want to see all that is missing.
func Evaluate(facts *facts.Facts, reqs []compat.Requirement) Verdict {
	e := evaluation{facts: facts, free: make([]Check, count(reqs))}
	v := Verdict{Checks: e.room(len(reqs))}
	t := tally{combine: compat.AllOf}
	for i := range reqs {
		req := &reqs[i]
		e.check(&v.Checks[i], req, under{})
		t.add(i, &v.Checks[i])
		if req.Importance == compat.Required {
			v.Closeness = max(v.Closeness, closenessOf(req, facts))
		}
	}
	v.Outcome, v.Score, v.Met = t.outcome(), t.gain, int(t.met)
	return v
}

// Deciding returns the required checks that keep the verdict from Fits: those
// that fail, or, if none does, those that are unknown. Of a requirement that
// asks for all of its parts they are the parts that decide.
func (v Verdict) Deciding() []*Check {
	if v.Outcome == Fits {
		return nil
	}
	return deciding(v.Checks, v.Outcome)
}

func deciding(checks []Check, outcome Outcome) []*Check {
	var list []*Check
	for i := range checks {
		if c := &checks[i]; c.Outcome == outcome && c.Requirement.Importance == compat.Required {
			list = append(list, c.deciding()...)
		}
	}
	return list
}

// deciding returns the checks that make this one come out as it does.
func (c *Check) deciding() []*Check {
	req := c.Requirement
	switch {
	case req.Not || req.Unclear != "" || c.wantNewer() != "":
	case req.Combine == compat.AllOf:
		if parts := deciding(c.Parts, c.Outcome); len(parts) > 0 {
			return parts
		}
	case req.Combine == compat.AnyOf:
		if ways := c.ways(); len(ways) == 1 {
			return ways[0].deciding()
		}
	}
	return []*Check{c}
}

// ways returns the parts of an AnyOf that come out as it does.
func (c *Check) ways() []*Check {
	var ways []*Check
	for i := range c.Parts {
		if c.Parts[i].Outcome == c.Outcome {
			ways = append(ways, &c.Parts[i])
		}
	}
	return ways
}
