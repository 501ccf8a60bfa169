package decision

import "slices"

// Exemptions are the pods that are never refused.
type Exemptions struct {
	Namespaces []string
	StaticPods bool
}

// configSource is the kubelet's annotation on every pod: "api" for those of the
// API server, "file" or "http" for static ones.
const configSource = "kubernetes.io/config.source"

// Match reports whether a pod with this namespace and these annotations is
// exempt.
func (e Exemptions) Match(namespace string, annotations map[string]string) bool {
	source := annotations[configSource]
	return slices.Contains(e.Namespaces, namespace) || e.StaticPods && source != "" && source != "api"
}
