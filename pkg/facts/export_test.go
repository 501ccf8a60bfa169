package facts

// VolatileSets returns the sets that the fingerprint ignores, in whole or in part.
func VolatileSets() []string {
	var sets []string
	for _, v := range volatileTable() {
		sets = append(sets, v.set)
	}
	return sets
}

// LabelPatterns returns the names of the labels that facts can have, with * for
// an element of the set.
func LabelPatterns() []string {
	var patterns []string
	for _, rule := range labelRules() {
		patterns = append(patterns, rule.label)
	}
	return patterns
}
