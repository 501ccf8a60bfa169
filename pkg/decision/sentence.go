package decision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
)

const (
	// maxNamed bounds how many candidates a sentence names.
	maxNamed = 8
	// maxSentence keeps a sentence within what an event of a pod can hold.
	maxSentence = 900
	// maxReason keeps one candidate from filling the sentence.
	maxReason = 300
)

// sentence says what was decided and why, as users read it. It holds nothing
// that changes from one try to the next, so that the kubelet can tell that the
// error is still the same.
func (d *Decision) sentence() string {
	switch {
	case d.NothingToChoose():
		return Line(d.nothing())
	case d.Refused() && d.Index == "":
		return Line(fmt.Sprintf("%s does not fit this node: it %s", d.Reference, d.Candidates[0].Reason))
	case d.Refused():
		return Line(fmt.Sprintf("no variant of %s fits this node: %s", d.Reference, d.reasons()))
	case d.NoneFits():
		return Line(fmt.Sprintf("%s is left to the runtime: it may take an entry that is not evaluated (%s); no other fits this node: %s",
			d.Reference, d.Unevaluated, d.reasons()))
	case d.Index == "":
		return Line(fmt.Sprintf("%s is a single image that %s", d.Reference, d.Candidates[0].outcome()))
	case len(d.Candidates) == 1:
		return Line(fmt.Sprintf("%s is the only variant of %s for %s: it %s", d.Label(0), d.Reference, d.Platform, d.Candidates[0].outcome()))
	default:
		return Line(fmt.Sprintf("%s of %s is the best of %d candidates: it %s",
			d.Label(d.Choice), d.Reference, len(d.Candidates), d.Candidates[d.Choice].outcome()))
	}
}

// nothing says why there is no candidate.
func (d *Decision) nothing() string {
	switch {
	case d.Index == "" && len(d.Others) == 1:
		return fmt.Sprintf("%s is a single image for %s, and this node is %s", d.Reference, d.Others[0].Platform, d.Platform)
	case len(d.Others) == 0:
		return fmt.Sprintf("%s is an index without entries", d.Reference)
	default:
		return fmt.Sprintf("%s has no entry for %s (there are %s)", d.Reference, d.Platform, strings.Join(d.kinds(), ", "))
	}
}

// kinds lists what an index holds for other nodes: platforms, and what else there
// is.
func (d *Decision) kinds() []string {
	var found, others []string
	for _, o := range d.Others {
		switch {
		case o.foreign:
			found = append(found, o.Platform)
		case !slices.Contains(others, o.Reason):
			others = append(others, o.Reason)
		}
	}
	slices.Sort(found)
	found = append(slices.Compact(found), others...)
	if len(found) > maxNamed {
		found = append(found[:maxNamed:maxNamed], fmt.Sprintf("and %d more", len(found)-maxNamed))
	}
	return found
}

func (c Candidate) outcome() string {
	if c.Reason == "" {
		return c.Outcome.String()
	}
	return "may fit: it " + c.Reason
}

func (d *Decision) reasons() string {
	var parts []string
	for i, c := range d.Candidates {
		if i == maxNamed {
			parts = append(parts, fmt.Sprintf("and %d more", len(d.Candidates)-maxNamed))
			break
		}
		parts = append(parts, d.Label(i)+" "+c.Reason)
	}
	return strings.Join(parts, "; ")
}

// Label names candidate i: by its platform, and by its digest too where
// another has the same platform.
func (d *Decision) Label(i int) string {
	c := d.Candidates[i]
	if c.Platform == "" {
		return short(c.Digest)
	}
	for j, other := range d.Candidates {
		if j != i && other.Platform == c.Platform {
			return c.Platform + "@" + short(c.Digest)
		}
	}
	return c.Platform
}

// Label names an entry that is not a candidate: by its platform where it is for
// another one, else by its digest.
func (o Other) Label() string {
	if o.foreign && o.Platform != "" {
		return o.Platform
	}
	return strings.TrimPrefix(o.Platform+"@"+short(o.Digest), "@")
}

// Line makes one line of bounded length of text that a registry had a hand in.
func Line(s string) string { return textutil.Line(s, maxSentence) }
