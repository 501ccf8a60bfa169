package policy

import "slices"

// Pod is the pod that a pull or a container is for.
type Pod struct {
	Namespace   string
	Annotations map[string]string
}

const (
	// ConfigSource is the kubelet's annotation on every pod: "api" for those of
	// the API server, "file" or "http" for static ones.
	ConfigSource = "kubernetes.io/config.source"
	// ModeAnnotation is the annotation with which a pod may choose its mode,
	// where the operator allows it.
	ModeAnnotation = "imagefit.io/mode"
)

// Effective is the policy for one repository and one pod.
type Effective struct {
	Answers
	Exempt bool // the pod is never refused
}

// modes lists the modes, from the one that changes least.
func modes() []string { return []string{Audit, Warn, Enforce} }

// EffectiveFor returns the policy for a pod's pull or container of a repository. The
// repository may be empty where it is unknown.
func EffectiveFor(p Policy, repository string, pod Pod) Effective {
	e := Effective{Answers: p.For(repository)}
	source := pod.Annotations[ConfigSource]
	e.Exempt = slices.Contains(p.ExemptNamespaces, pod.Namespace) ||
		p.ExemptStaticPods && source != "" && source != "api"
	if mode := p.Namespaces[pod.Namespace]; mode != "" {
		e.Mode = mildest(mode, p.ofRepository(repository).Mode)
	}
	mode, may := pod.Annotations[ModeAnnotation], p.ModeAnnotationNamespaces
	if slices.Contains(modes(), mode) && (slices.Contains(may, pod.Namespace) || slices.Contains(may, "*")) {
		e.Mode = mode
	}
	return e
}

// Enforced reports whether anything may be refused.
func (e Effective) Enforced() bool { return e.Mode != Audit && e.Mode != Warn && !e.Exempt }

// Warned reports whether who owns the pod is told what would be refused.
func (e Effective) Warned() bool { return e.Mode == Warn && !e.Exempt }

// mildest returns the mode that changes least of those that are stated.
func mildest(stated ...string) string {
	for _, mode := range modes() {
		if slices.Contains(stated, mode) {
			return mode
		}
	}
	return ""
}
