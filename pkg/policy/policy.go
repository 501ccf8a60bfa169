package policy

import (
	"reflect"
	"strings"
)

// Policy says what follows when something is missing or does not fit, and whom
// it concerns.
type Policy struct {
	Answers
	ExemptNamespaces         []string           `toml:"exempt_namespaces" check:"names"`
	ExemptStaticPods         bool               `toml:"exempt_static_pods"`
	ModeAnnotationNamespaces []string           `toml:"mode_annotation_namespaces" check:"names"`
	Namespaces               map[string]string  `toml:"namespaces" words:"enforce,warn,audit"`
	Repositories             map[string]Answers `toml:"repositories"`
}

// Answers is the part of the policy that may differ between repositories. In
// Policy.Repositories "" means that the key is left out.
type Answers struct {
	Mode              string `toml:"mode" words:"enforce,warn,audit"`
	NoFit             string `toml:"no_fit" words:"refuse,forward" case:"no candidate fits the node"`
	NoArtifact        string `toml:"no_artifact" words:"select,forward,refuse" case:"no candidate has a compatibility artifact"`
	RegistryError     string `toml:"registry_error" words:"refuse,forward" case:"the registry fails or times out"`
	NoReferrersAPI    string `toml:"no_referrers_api" words:"tag,none,error" case:"the registry has no referrers API"`
	MalformedArtifact string `toml:"malformed_artifact" words:"unknown,ignore,unfit" case:"an artifact is malformed"`
	TooCostly         string `toml:"too_costly" words:"unknown,ignore,unfit" case:"evaluating an artifact takes too many steps"`
	UnknownAttribute  string `toml:"unknown_attribute" words:"unknown,ignore,unfit" case:"no compatibility spec defines an attribute"`
	UnknownName       string `toml:"unknown_name" words:"admit,by_id" case:"a container's image is known under other names only"`
	ImageVerifier     string `toml:"image_verifier" words:"forward,signed,select" case:"the runtime verifies images"`
}

// The values that keys take.
const (
	Enforce = "enforce" // mode: decide and act
	Warn    = "warn"    // mode: decide and act, but tell instead of refusing
	Audit   = "audit"   // mode: decide, log, change nothing
	Refuse  = "refuse"  // no_fit, no_artifact, registry_error: answer with an error
	Forward = "forward" // no_fit, no_artifact, registry_error, image_verifier: pass the request on unchanged
	Select  = "select"  // no_artifact, image_verifier: choose the best candidate regardless
	Signed  = "signed"  // image_verifier: choose where the index is signed by a trusted key
	Tag     = "tag"     // no_referrers_api: read the fallback tag
	None    = "none"    // no_referrers_api: treat the image as having no artifacts
	Error   = "error"   // no_referrers_api: apply registry_error
	Unknown = "unknown" // malformed_artifact, too_costly, unknown_attribute: rank behind what is known
	Ignore  = "ignore"  // malformed_artifact, too_costly, unknown_attribute: treat it as absent
	Unfit   = "unfit"   // malformed_artifact, too_costly, unknown_attribute: the candidate does not fit
)

// The values of unknown_name.
const (
	Admit = "admit" // without a check
	ByID  = "by_id" // by what is known of the image under any name
)

// Default returns the policy that applies where the configuration is silent.
func Default() Policy {
	return Policy{
		Answers: Answers{
			Mode: Enforce, NoFit: Refuse, NoArtifact: Select, RegistryError: Forward, NoReferrersAPI: Tag,
			MalformedArtifact: Unknown, TooCostly: Unknown, UnknownAttribute: Unknown, UnknownName: Admit, ImageVerifier: Forward,
		},
		ExemptNamespaces:         []string{"kube-system"},
		ExemptStaticPods:         true,
		ModeAnnotationNamespaces: []string{},
		Namespaces:               map[string]string{},
		Repositories:             map[string]Answers{},
	}
}

// Under returns the answers with those of over where they are set.
func (a Answers) Under(over Answers) Answers {
	from, into := reflect.ValueOf(over), reflect.ValueOf(&a).Elem()
	for i := range from.NumField() {
		if said := from.Field(i).String(); said != "" {
			into.Field(i).SetString(said)
		}
	}
	return a
}

// For returns the answers for a repository, named in full as
// docker.io/library/busybox is: those of the longest prefix among Repositories,
// and what that leaves out as the rest of the policy has it.
func (p Policy) For(repository string) Answers {
	return p.Answers.Under(p.ofRepository(repository))
}

func (p Policy) ofRepository(repository string) Answers {
	longest := ""
	for prefix := range p.Repositories {
		// registry.example/team is a prefix of registry.example/team/app, but not of
		// registry.example/teams.
		rest, ok := strings.CutPrefix(repository, prefix)
		if ok && (rest == "" || rest[0] == '/') && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	return p.Repositories[longest]
}
