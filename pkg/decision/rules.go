package decision

import (
	"time"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/trust"
)

// Rules are what the operator wants of decisions. They are never changed, only
// exchanged as a whole.
type Rules struct {
	Policy      policy.Policy
	Interpreter *spec.Interpreter
	Prefer      []dialect.AnnotationPreference
	// Descriptions are what the operator states about the images of others.
	Descriptions *description.Set
	// Trust says whose metadata counts; nil is anybody's.
	Trust *trust.Rules
	// NVIDIARequire evaluates the variables that NVIDIA's container toolkit reads
	// from an image's config; it costs the config of each candidate.
	NVIDIARequire bool

	// InheritBase makes what is attached to the base image of a candidate its own; it
	// costs the candidate's manifest, and requests to the base image's registry.
	InheritBase bool

	// OnlyPresent makes signed metadata that was seen before, and that the registry does not
	// have now, not count.
	OnlyPresent bool

	ReferrersTTL time.Duration // how long a list of referrers is current
	StaleFor     time.Duration // and how much longer it is used where the registry does not answer
	Timeout      time.Duration // for one decision; 0 is no limit
}

// Snapshot is the policy and the facts that one pull or one admission is decided by.
// It is taken once, so that neither a reload nor a change of the node mixes two states
// in one decision.
type Snapshot struct {
	Rules *Rules
	Facts *facts.Facts
}

// Fixed returns rules that are never exchanged.
func Fixed(r *Rules) func() *Rules { return func() *Rules { return r } }

// RepositoryOf returns the repository of a reference as the runtime normalises
// it, or "" for what is not a reference.
func RepositoryOf(ref string) string {
	named, err := parse(ref)
	if err != nil {
		return ""
	}
	return named.Name()
}
