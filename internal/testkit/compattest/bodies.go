package compattest

// NFDRule is a spec of NFD's with one rule, whose matchFeatures begin in row 6.
func NFDRule(features string) string {
	return "version: v1alpha1\ncompatibilities:\n- rules:\n  - name: r\n    matchFeatures:\n" + features
}

// ProposalF is a body of Proposal F with one group.
func ProposalF(group, attributes string) string {
	return `{"compatibilities": {"` + group + `": {` + attributes + `}}}`
}
