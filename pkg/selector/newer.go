package selector

import (
	"cmp"
	"fmt"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/version"
)

// may makes a requirement unknown that does not hold on a node which may run the
// image all the same.
func (e *evaluation) may(c *Check) {
	why := ""
	if c.Outcome == Unfit && !c.Requirement.Not {
		for i := range c.Requirement.May {
			may := &c.Requirement.May[i]
			outcome, cause := Fits, may.Why
			for j := range may.Terms {
				fact := e.lookup(may.Set, may.Terms[j].Element)
				if outcome = and(outcome, conditionOf(&may.Terms[j]).holds(fact)); fact.State == facts.Unknown {
					cause = fact.Cause
				}
			}
			if outcome != Unfit {
				c.Outcome, why = Unknown, cause
				c.Fact, c.term = facts.Fact{Cause: why}, -1
				break
			}
		}
	}
	e.newer(c, why)
}

// newer keeps the version that the node has of what a requirement comes down to, and
// why it may do.
func (e *evaluation) newer(c *Check, why string) {
	newer := c.Requirement.Newer
	if newer == nil || c.Outcome == Fits {
		return
	}
	if fact := e.lookup(newer.Set, newer.Element); fact.State != facts.Unknown {
		fact.Cause = why
		c.Fact, c.term = fact, -1
	}
}

// tooOld says that a version of the node is too old for what a requirement comes
// down to; empty where that is not what decides.
func (c *Check) tooOld() string {
	newer := c.Requirement.Newer
	if newer == nil || c.Outcome == Fits || c.Requirement.Not || c.Fact.State != facts.Present {
		return ""
	}
	order, ok := version.Compare(c.Fact.Value, newer.Least)
	switch {
	case !ok || order >= 0:
		return ""
	case c.Outcome == Unfit:
		return fmt.Sprintf("%s %s is too old for %s (needs >= %s)", newer.What, c.Fact.Value, newer.For, newer.Least)
	}
	text := fmt.Sprintf("%s %s is older than that of %s (%s)", newer.What, c.Fact.Value, newer.For, newer.Least)
	if why := cmp.Or(c.Fact.Cause, c.unclear()); why != "" {
		text += ": " + why
	}
	return text
}

// wantNewer names what a requirement comes down to; empty where it is nothing.
func (c *Check) wantNewer() string {
	newer := c.Requirement.Newer
	switch text := c.tooOld(); {
	case text != "":
		return "a newer " + newer.What + ": " + text
	case newer != nil && c.Outcome == Unfit && c.Fact.State == facts.Absent && !c.Requirement.Not:
		return "a " + newer.What + " for " + newer.For + " (absent)"
	default:
		return ""
	}
}

// unclear is why the first unknown part cannot be decided.
func (c *Check) unclear() string {
	if c.Requirement.Unclear != "" {
		return c.Requirement.Unclear
	}
	for i := range c.Parts {
		if part := &c.Parts[i]; part.Outcome == Unknown {
			if why := part.unclear(); why != "" {
				return why
			}
		}
	}
	if c.Outcome == Unknown {
		return c.Fact.Cause
	}
	return ""
}
