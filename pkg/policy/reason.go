package policy

// Reason is why a pull was done as it was, in one word of a fixed set: the label of a
// metric, and what scripts compare. The sentence of a decision says the same in full.
type Reason string

// The reasons for what was done with a pull.
const (
	BestCandidate      Reason = "best_candidate"      // of several, the one that fits best
	OneCandidate       Reason = "one_candidate"       // the index has one entry for this platform
	SingleManifest     Reason = "single_manifest"     // the reference is not an index
	OtherPlatform      Reason = "other_platform"      // nothing is for this platform
	NotEvaluated       Reason = "not_evaluated"       // of a kind, or a size, that is not read
	NothingFits        Reason = "no_fit"              // no candidate fits
	WithoutArtifact    Reason = "no_artifact"         // policy.no_artifact
	UnsignedOnly       Reason = "unsigned_metadata"   // policy.no_artifact, where all there is has no trusted signature
	VerifiedImages     Reason = "image_verifier"      // policy.image_verifier
	RuntimeUnsupported Reason = "runtime_unsupported" // the runtime has no image records
	AuditOnly          Reason = "audit"               // another variant fits better
	InsteadOfBest      Reason = "fallback"            // what fits better cannot be pulled
	PullFailed         Reason = "pull_failed"         // nor can anything else
	RegistryNotFound   Reason = "registry_not_found"
	RegistryDenied     Reason = "registry_unauthorized"
	RegistryTimeout    Reason = "registry_timeout"
	RegistryFailed     Reason = "registry_error" // it cannot be reached, or answers with an error
	RegistryUnusable   Reason = "registry_unusable"
	InvalidReference   Reason = "invalid_reference"
	InvalidRequest     Reason = "invalid_request" // it cannot be decoded
	ClientGone         Reason = "client_gone"     // canceled, or past its deadline
	InternalError      Reason = "internal_error"
)

// Reasons lists the reasons.
func Reasons() []Reason {
	return []Reason{
		BestCandidate, OneCandidate, SingleManifest, OtherPlatform, NotEvaluated, NothingFits, WithoutArtifact, UnsignedOnly,
		VerifiedImages, RuntimeUnsupported, AuditOnly, InsteadOfBest, PullFailed,
		RegistryNotFound, RegistryDenied, RegistryTimeout, RegistryFailed, RegistryUnusable,
		InvalidReference, InvalidRequest, ClientGone, InternalError,
	}
}
