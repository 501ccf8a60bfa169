package selector

import (
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// Outcome is the answer to "does it fit?".
type Outcome uint8

// The three outcomes. The zero value is Unknown: nothing was held against it.
const (
	Unknown Outcome = iota // some required fact could not be decided
	Unfit                  // a requirement is known not to hold
	Fits                   // everything required is known to hold
)

// String returns the outcome as users read it.
func (o Outcome) String() string {
	return [...]string{"unknown", "does not fit", "fits"}[min(o, Fits)]
}

// Check is one requirement held against the facts.
type Check struct {
	Requirement compat.Requirement
	Outcome     Outcome
	Fact        hostfacts.Fact // what decided: of several terms the one that failed
	list        int            // length of a list of instances, or -1
}

// Verdict is the judgement on one candidate.
type Verdict struct {
	Outcome Outcome
	Checks  []Check
	Score   int // sum of the weights of the preferences that hold
	Level   int // micro-architecture level that the requirements imply
	Met     int // required attributes that hold
}

// Evaluate holds the requirements against the facts.
func Evaluate(facts *hostfacts.Facts, reqs []compat.Requirement) Verdict {
	v := Verdict{Outcome: Fits, Checks: make([]Check, len(reqs))}
	for i, req := range reqs {
		c := check(facts, req)
		v.Checks[i] = c
		switch req.Importance {
		case compat.Required:
			v.Level = max(v.Level, level(req))
			if c.Outcome == Fits {
				v.Met++
			}
			v.Outcome = and(v.Outcome, c.Outcome)
		case compat.Preferred:
			if c.Outcome == Fits {
				v.Score += req.Weight
			}
		}
	}
	return v
}

// and combines two outcomes: what is known not to fit stays so, whatever else
// is unknown.
func and(a, b Outcome) Outcome {
	switch {
	case a == Unfit || b == Unfit:
		return Unfit
	case a == Unknown || b == Unknown:
		return Unknown
	default:
		return Fits
	}
}

// Deciding returns the required checks that keep the verdict from Fits: those
// that fail, or, if none does, those that are unknown.
func (v Verdict) Deciding() []Check {
	var deciding []Check
	for _, c := range v.Checks {
		if c.Requirement.Importance == compat.Required && c.Outcome == v.Outcome && v.Outcome != Fits {
			deciding = append(deciding, c)
		}
	}
	return deciding
}

// maxReasons is how many requirements a reason names: it is for people.
const maxReasons = 8

// Reason says in a few words what keeps the candidate from fitting, such as
// "needs cpu.cpuid AVX2 (absent)"; it is empty for one that fits.
func (v Verdict) Reason() string {
	deciding := v.Deciding()
	if len(deciding) == 0 {
		return ""
	}
	var parts []string
	for _, c := range deciding[:min(len(deciding), maxReasons)] {
		parts = append(parts, c.Requirement.Want()+" ("+c.Have()+")")
	}
	if more := len(deciding) - maxReasons; more > 0 {
		parts = append(parts, "and "+strconv.Itoa(more)+" more")
	}
	return "needs " + strings.Join(parts, ", ")
}

// Have says what the node has where the requirement asks, such as "absent" or
// "is 6.1.0".
func (c Check) Have() string {
	switch {
	case c.Requirement.Unclear != "":
		return "unknown: " + c.Requirement.Unclear
	case c.Fact.State == hostfacts.Unknown:
		return "unknown: " + c.Fact.Cause
	case c.list >= 0 && c.Outcome == Unknown:
		return "unknown: a value of a device cannot be compared"
	case c.list >= 0 && c.Outcome == Fits != c.Requirement.Not:
		return "found"
	case c.list >= 0:
		return "none found"
	case c.Outcome == Unknown:
		return "unknown: it cannot be compared with " + strconv.Quote(c.Fact.Value)
	case c.Fact.State == hostfacts.Present && c.Fact.Value != "":
		return "is " + c.Fact.Value
	default:
		return c.Fact.State.String()
	}
}
