package decision

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/selector"
)

// None is the index of no candidate.
const None = -1

// Decision is what was found out about one reference on one node.
type Decision struct {
	Reference  string        `json:"reference"`            // as the runtime normalises it
	Repository string        `json:"repository"`           // the reference without tag and digest
	Platform   string        `json:"platform,omitempty"`   // os and architecture of the node
	Index      digest.Digest `json:"index,omitempty"`      // empty where the reference is not an index
	Candidates []Candidate   `json:"candidates,omitempty"` // in the order of the index
	Others     []Other       `json:"others,omitempty"`     // entries that are not candidates
	Choice     int           `json:"choice"`               // into Candidates; None where nothing fits
	Default    int           `json:"default"`              // what the runtime takes unasked, or None
	Priorities *Priorities   `json:"priorities,omitempty"` // of the author, where the index states some
	// Unevaluated is an entry that may be an image for this node and is not a
	// candidate, and why: then nothing is refused.
	Unevaluated string `json:"unevaluated,omitempty"`
	// Signer is the trusted key that signed the index, where that was asked.
	Signer *referrers.Signer `json:"index_signed_by,omitempty"`
	Reason string            `json:"reason"`          // one sentence
	Cases  []policy.Case     `json:"cases,omitempty"` // in which a policy had to answer
	Facts  string            `json:"facts"`           // fingerprint of the facts
	Time   time.Time         `json:"time"`

	// Read are the indexes and manifests that were read to make the decision; a
	// remembered decision has none.
	Read []Content `json:"-"`
}

// Candidate is one manifest that this node's os and architecture could run.
type Candidate struct {
	Entry     int                  `json:"entry"`            // position among all entries
	Within    digest.Digest        `json:"within,omitempty"` // the index within the index that it is in
	Digest    digest.Digest        `json:"digest"`
	Platform  string               `json:"platform,omitempty"`
	Outcome   selector.Outcome     `json:"outcome"`
	Reason    string               `json:"reason,omitempty"` // what keeps it from fitting
	Rank      int                  `json:"rank,omitempty"`   // 1 is the choice; 0 is out
	Artifacts []referrers.Artifact `json:"artifacts,omitempty"`
	Verdict   selector.Verdict     `json:"-"`
	// Ignored is what is stated of it and does not count, because no trusted key signed it.
	Ignored []Ignored `json:"ignored,omitempty"`
	// Described lists what the operator states about it.
	Described []Described `json:"described,omitempty"`
	// Properties are those of the author's priorities that the candidate has.
	Properties []string `json:"properties,omitempty"`

	// Requirements is the verdict in words, where the request is to explain it.
	Requirements []RequirementResult `json:"requirements,omitempty"`

	descriptor ocispec.Descriptor
	platform   *ocispec.Platform // stated by the entry, or else by the config
	described  bool              // it has artifacts of its own
	notImage   string            // what its manifest is known to be instead
	claims     EntryClaims
	stated     string // properties that the index entry states
	places     []int  // of Properties among the author's priorities
}

// Content is an index or a manifest.
type Content struct {
	Descriptor ocispec.Descriptor
	Body       []byte
}

// Other is an entry that is not a candidate.
type Other struct {
	Entry    int           `json:"entry"`
	Within   digest.Digest `json:"within,omitempty"`
	Digest   digest.Digest `json:"digest,omitempty"`
	Platform string        `json:"platform,omitempty"`
	Reason   string        `json:"reason"` // such as "attestation" or "for another architecture"

	foreign bool // an image for another platform
}

// EntryClaims is what a candidate states of itself, beside its artifacts.
type EntryClaims struct {
	Platform    json.RawMessage   `json:"platform,omitempty"`    // as the index has it
	Annotations map[string]string `json:"annotations,omitempty"` // those that the operator prefers
	Environment map[string]string `json:"environment,omitempty"` // NVIDIA's variables of the image config
	Index       digest.Digest     `json:"index,omitempty"`       // that the reference named
	Base        *description.Base `json:"base,omitempty"`        // that it is built on, where that matters
	Signer      *referrers.Signer `json:"signer,omitempty"`      // of the index, where that was asked
}

// RequirementResult is the verdict on one requirement, in words.
type RequirementResult struct {
	Want       string           `json:"want"` // such as "cpu.cpuid AVX2"
	Have       string           `json:"have"` // such as "present" or "is 6.1.0"
	Outcome    selector.Outcome `json:"outcome"`
	Importance string           `json:"importance"`       // required, preferred or informative
	Origin     string           `json:"origin,omitempty"` // who states it, where it is not the image's author
	Depth      int              `json:"depth,omitempty"`  // of nesting
}

// NothingToChoose reports whether the decision is the runtime's own to make:
// the reference is neither an index nor an image, or has no entry for this node.
func (d *Decision) NothingToChoose() bool { return len(d.Candidates) == 0 }

// NoneFits reports whether there are candidates and none fits.
func (d *Decision) NoneFits() bool { return len(d.Candidates) > 0 && d.Choice == None }

// Refused reports whether nothing that the reference stands for fits.
func (d *Decision) Refused() bool { return d.NoneFits() && d.Unevaluated == "" }

// Outcome is how well the choice fits, or that there is none.
func (d *Decision) Outcome() selector.Outcome {
	switch {
	case d.Choice != None:
		return d.Candidates[d.Choice].Outcome
	case d.Unevaluated != "":
		return selector.Unknown
	default:
		return selector.Unfit
	}
}

// AsRuntime reports whether the choice is what the runtime takes unasked.
func (d *Decision) AsRuntime() bool { return d.Choice != None && d.Choice == d.Default }

// Entries calls one of the functions for each entry of the index, in its order: with
// the position of a candidate, or with what is not one.
func (d *Decision) Entries(candidate func(int), other func(Other)) {
	others := d.Others
	for i, c := range d.Candidates {
		for ; len(others) > 0 && others[0].Entry < c.Entry; others = others[1:] {
			other(others[0])
		}
		candidate(i)
	}
	for _, o := range others {
		other(o)
	}
}

// Descriptor returns the descriptor of candidate i as the index has it, with the
// platform of the config where the index states none.
func (d *Decision) Descriptor(i int) ocispec.Descriptor { return d.Candidates[i].descriptor }

// Fitting returns the indices of the candidates that are not known to be unfit, the
// best first.
func (d *Decision) Fitting() []int {
	var order []int
	for i := range d.Candidates {
		if d.Candidates[i].Rank > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return d.Candidates[a].Rank - d.Candidates[b].Rank })
	return order
}

// ByPreference returns the candidates' indices: the choice first, then what the
// runtime takes unasked, then the others.
func (d *Decision) ByPreference() []int {
	order := make([]int, 0, len(d.Candidates))
	for _, i := range []int{d.Choice, d.Default} {
		if i != None && !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	for i := range d.Candidates {
		if !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	return order
}
