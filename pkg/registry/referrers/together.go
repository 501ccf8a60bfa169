package referrers

import "slices"

// Together tells which of the artifacts are current where it does not matter who signed
// them, in their order.
func (f Found) Together() []bool {
	all := slices.Clone(f.Artifacts)
	for i := range all {
		all[i].Signer = nil
	}
	listed := len(all)
	if listed > 0 && all[listed-1].Manifest == "" { // a list that is too long is always current
		listed--
	}
	rank(all[:listed])
	current := make([]bool, len(all))
	for i := range all {
		current[i] = all[i].Current
	}
	return current
}
