package decision

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// Ignored is something that is stated of a candidate and does not matter, because no
// trusted key signed it (trust.metadata).
type Ignored struct {
	Artifact digest.Digest `json:"artifact,omitempty"` // its manifest; "" for what the index states itself
	Why      string        `json:"why"`
}

// rule says whose metadata counts in the repository that an artifact is in.
func (e *evaluation) rule(a referrers.Artifact) *trust.Rule {
	if a.Base == "" {
		return e.trust
	}
	return e.Rules.Trust.For(RepositoryOf(a.Base))
}

// believed tells artifacts that count from those that do not. What is not signed replaces
// nothing that is, so this comes before all that compares artifacts.
func (e *evaluation) believed(all []referrers.Artifact) (counts []referrers.Artifact, ignored []Ignored) {
	if !slices.ContainsFunc(all, func(a referrers.Artifact) bool { return e.doubts(a) != "" }) {
		return slices.Clone(all), nil
	}
	for _, a := range all {
		if why := e.doubts(a); why != "" {
			ignored = append(ignored, Ignored{cmp.Or(a.Manifest, a.Layer), Line(why)})
		} else {
			counts = append(counts, a)
		}
	}
	return counts, ignored
}

// doubts is why an artifact does not count, or "".
func (e *evaluation) doubts(a referrers.Artifact) string {
	rule := e.rule(a)
	switch {
	case !rule.Signed:
		return ""
	case a.Signer == nil:
		return cmp.Or(a.Unsigned, "unsigned")
	}
	return doubtsSigner(rule, a.Signer)
}

func doubtsSigner(rule *trust.Rule, by *referrers.Signer) string {
	switch _, trusted := rule.Has(by.Key); {
	case !trusted:
		return "signed by " + by.Name + ", a key that is not trusted any more"
	case by.Created.Before(rule.MinCreated):
		return fmt.Sprintf("signed by %s, but from %s, before trust.min_created", by.Name, created(by.Created))
	}
	return ""
}

func created(at time.Time) string {
	if at.IsZero() {
		return "an unknown time"
	}
	return at.UTC().Format(time.RFC3339)
}

// doubtsIndex is why what an index states of its entries does not count, or "".
func (e *evaluation) doubtsIndex(by *referrers.Signer, unsigned string) string {
	switch {
	case !e.trust.Signed:
		return ""
	case by == nil:
		return "the index is " + cmp.Or(unsigned, "unsigned")
	}
	if _, trusted := e.trust.Has(by.Key); !trusted {
		return "the index is signed by " + by.Name + ", a key that is not trusted any more"
	}
	return ""
}

// statesMore reports whether the entry of an index states more than the platform by which
// a runtime chooses.
func (c EntryClaims) statesMore() bool {
	var members map[string]json.RawMessage
	if len(c.Platform) > 0 && json.Unmarshal(c.Platform, &members) != nil {
		return true
	}
	for name := range members {
		if !slices.Contains([]string{"architecture", "os", "os.version", "variant"}, name) {
			return true
		}
	}
	return len(c.Annotations) > 0
}

// believe leaves out of a candidate what does not count.
func (e *evaluation) believe(c *Candidate, inIndex []referrers.Artifact, unsigned string) {
	if why := e.doubtsIndex(c.claims.Signer, unsigned); why != "" {
		if len(inIndex) > 0 || c.claims.statesMore() {
			c.Ignored = append(c.Ignored, Ignored{Why: Line(why)})
		}
		return
	}
	for _, a := range inIndex {
		if e.trust.Signed {
			a.Signer = c.claims.Signer
		}
		c.Artifacts = append(c.Artifacts, a)
	}
}

// ignored lists what does not count of all candidates, each once.
func (d *Decision) ignored() []Ignored {
	var all []Ignored
	for _, c := range d.Candidates {
		for _, i := range c.Ignored {
			if !slices.Contains(all, i) {
				all = append(all, i)
			}
		}
	}
	return all
}

// Ignored counts the artifacts, and other statements, that no trusted key signed and that
// do not matter for that.
func (d *Decision) Ignored() int { return len(d.ignored()) }

// SignedBy lists the keys that signed what the decision rests on.
func (d *Decision) SignedBy() []string {
	var all []referrers.Artifact
	for _, c := range d.Candidates {
		all = append(all, c.Artifacts...)
	}
	return signersOf(all)
}

// signersOf lists the keys that signed artifacts.
func signersOf(artifacts []referrers.Artifact) []string {
	var names []string
	for _, a := range artifacts {
		if a.Signer != nil {
			names = append(names, a.Signer.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// kept lists the artifacts that the registry does not have now, each with why it counts.
func (d *Decision) kept() map[digest.Digest]string {
	all := map[digest.Digest]string{}
	for _, c := range d.Candidates {
		for _, a := range c.Artifacts {
			if a.Kept != "" {
				all[cmp.Or(a.Manifest, a.Layer)] = a.Kept
			}
		}
	}
	return all
}

// Kept counts the signed artifacts that the registry does not have now, and that count
// since they were seen before.
func (d *Decision) Kept() int { return len(d.kept()) }

// withTrust adds to a sentence what does not count for its signature, and what counts
// though it is not there.
func (d *Decision) withTrust(sentence string) string {
	sentence = d.withIgnored(sentence)
	kept := slices.Compact(slices.Sorted(maps.Values(d.kept())))
	if len(kept) == 0 {
		return sentence
	}
	return fmt.Sprintf("%s; signed metadata of an earlier pull is used: %s", sentence, strings.Join(kept, "; "))
}

// withIgnored adds to a sentence what does not count.
func (d *Decision) withIgnored(sentence string) string {
	ignored := d.ignored()
	if len(ignored) == 0 {
		return sentence
	}
	var whys []string
	for _, i := range ignored {
		if !slices.Contains(whys, i.Why) && len(whys) < maxNamed {
			whys = append(whys, i.Why)
		}
	}
	return fmt.Sprintf("%s; ignored (trust.metadata): %s", sentence, strings.Join(whys, "; "))
}

// cases are the cases in which the policy had to answer.
func (e *evaluation) cases(ignored int) []policy.Case {
	cases := e.answers.Cases(e.arose)
	if ignored > 0 {
		cases = append(cases, policy.UnsignedMetadata())
	}
	return cases
}
