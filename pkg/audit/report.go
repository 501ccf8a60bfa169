package audit

import (
	"slices"
	"time"

	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// Verdict is what an audit finds about a container or an image.
type Verdict string

// The verdicts.
const (
	Admitted  Verdict = "admitted"  // it fits, or is not known not to
	Refused   Verdict = "refused"   // it would not be admitted
	Tolerated Verdict = "tolerated" // it does not fit, and the mode or an exemption admits it
	Unchecked Verdict = "unchecked" // nothing is known of what it needs
)

// Verdicts lists the verdicts in the order in which people should read them.
func Verdicts() []Verdict { return []Verdict{Refused, Tolerated, Unchecked, Admitted} }

// Report is what an audit found. Its JSON names are stable.
type Report struct {
	Time       time.Time   `json:"time"`
	Facts      string      `json:"facts"`      // fingerprint
	Containers []Container `json:"containers"` // that run, those that would be refused first
	Images     []Image     `json:"images"`     // names of the images on the node, likewise
}

// Unfit reports whether a container or an image does not fit the node, admitted or not.
func (r Report) Unfit() bool {
	return slices.ContainsFunc(r.Containers, func(c Container) bool { return c.Unfit() }) ||
		slices.ContainsFunc(r.Images, func(i Image) bool { return i.Unfit() })
}

// Container is one that runs.
type Container struct {
	ID        string    `json:"id"`
	Namespace string    `json:"namespace,omitempty"`
	Pod       string    `json:"pod,omitempty"`
	Name      string    `json:"name"`
	Created   time.Time `json:"created"`
	Finding
}

// Image is one name of an image.
type Image struct {
	Finding
}

// Finding is what was found about a container or an image.
type Finding struct {
	Reference  string        `json:"reference"` // by which it was requested, or its name
	ImageID    string        `json:"image_id,omitempty"`
	Manifest   string        `json:"manifest,omitempty"` // digest, as far as it is known
	Verdict    Verdict       `json:"verdict"`
	Mode       string        `json:"mode,omitempty"`
	Exempt     bool          `json:"exempt,omitempty"`
	ReasonCode policy.Reason `json:"reason_code,omitempty"` // of what is unchecked
	Reason     string        `json:"reason,omitempty"`
	SignedBy   []string      `json:"signed_by,omitempty"` // keys that signed what it was decided by
}

// Unfit reports whether it does not fit the node, admitted or not.
func (f Finding) Unfit() bool { return f.Verdict == Refused || f.Verdict == Tolerated }

// findingOf takes over what was decided.
func findingOf(rec decisionlog.Record, imageID string) Finding {
	f := Finding{
		Reference: rec.Reference, ImageID: imageID, Manifest: rec.Manifest, Verdict: Admitted,
		Mode: rec.Mode, Exempt: rec.Exempt, ReasonCode: rec.ReasonCode, Reason: rec.Reason, SignedBy: rec.SignedBy,
	}
	switch {
	case rec.Action == policy.Refused:
		f.Verdict = Refused
	case rec.Would == policy.Refused:
		f.Verdict = Tolerated
	case rec.ReasonCode != "":
		f.Verdict = Unchecked
	}
	return f
}

// Counts are the numbers of a report, by verdict. All verdicts are in them.
type Counts struct {
	Time       time.Time      `json:"time"`
	Containers map[string]int `json:"containers"`
	Images     map[string]int `json:"images"`
}

// Unfit returns how many containers do not fit the node.
func (c Counts) Unfit() int {
	return c.Containers[string(Refused)] + c.Containers[string(Tolerated)]
}

// Counts counts what is in the report.
func (r Report) Counts() Counts {
	c := Counts{Time: r.Time, Containers: map[string]int{}, Images: map[string]int{}}
	for _, v := range Verdicts() {
		c.Containers[string(v)], c.Images[string(v)] = 0, 0
	}
	for _, one := range r.Containers {
		c.Containers[string(one.Verdict)]++
	}
	for _, one := range r.Images {
		c.Images[string(one.Verdict)]++
	}
	return c
}
