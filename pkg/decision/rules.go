package decision

import (
	"slices"
	"time"

	"github.com/distribution/reference"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/config"
)

// Rules are what the operator wants of decisions. They are never changed, only
// exchanged as a whole.
type Rules struct {
	Policy      config.Policy
	Interpreter *compat.Interpreter
	Prefer      []compat.AnnotationPreference
	// NVIDIARequire makes the variables count that NVIDIA's container toolkit
	// reads from an image's config; it costs the config of each candidate.
	NVIDIARequire bool

	ReferrersTTL time.Duration // how long a list of referrers is taken for current
	StaleFor     time.Duration // and how much longer where the registry does not answer
	Timeout      time.Duration // for one decision; none where it is zero
}

// Fixed returns rules that are never exchanged.
func Fixed(r *Rules) func() *Rules { return func() *Rules { return r } }

// Pod is whom a decision is for.
type Pod struct {
	Namespace   string
	Annotations map[string]string
}

const (
	// ConfigSource is the kubelet's annotation on every pod: "api" for those of
	// the API server, "file" or "http" for static ones.
	ConfigSource = "kubernetes.io/config.source"
	// ModeAnnotation is the annotation with which a pod may choose its mode,
	// where the operator lets it.
	ModeAnnotation = "imagefit.io/mode"
)

// Treatment is what the policy says of one repository and one pod.
type Treatment struct {
	config.Answers
	Exempt bool // the pod is never refused
}

// For returns how a pod's pull or container of a repository is treated. The
// repository may be empty where nobody can tell.
func (r *Rules) For(repository string, pod Pod) Treatment {
	p := r.Policy
	t := Treatment{Answers: p.For(repository)}
	source := pod.Annotations[ConfigSource]
	t.Exempt = slices.Contains(p.ExemptNamespaces, pod.Namespace) ||
		p.ExemptStaticPods && source != "" && source != "api"
	mode := pod.Annotations[ModeAnnotation]
	if (mode == config.Enforce || mode == config.Audit) && mayChooseMode(p.ModeAnnotationNamespaces, pod.Namespace) {
		t.Mode = mode
	}
	return t
}

func mayChooseMode(namespaces []string, namespace string) bool {
	return slices.Contains(namespaces, namespace) || slices.Contains(namespaces, "*")
}

// Enforced reports whether anything may be refused.
func (t Treatment) Enforced() bool { return t.Mode != config.Audit && !t.Exempt }

// RepositoryOf returns the repository of a reference as the runtime normalises
// it, or "" for what is no reference.
func RepositoryOf(ref string) string {
	if len(ref) > maxReference {
		return ""
	}
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return ""
	}
	return named.Name()
}
