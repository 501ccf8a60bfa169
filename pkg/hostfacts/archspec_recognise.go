package hostfacts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// recognise returns the micro-architecture of a CPU as archspec finds it: of
// those it has all features of, the one furthest from the family that descends
// from the best generic level. Going by the level first keeps a CPU whose
// firmware hides some small feature from being taken for one much older.
func recognise(arch string, c cpuInfo) microarch {
	root := archspecRoot(arch)
	fits := fitTest(arch, c)
	var candidates []microarch
	for _, m := range loadArchspecs().all {
		if m.name == root || m.is(root) && fits(m) {
			candidates = append(candidates, m)
		}
	}
	best := furthest(candidates, microarch.isGeneric)
	if best.name == "" {
		return microarch{name: root, vendor: genericVendor} // a family without a table
	}
	samePart := func(m microarch) bool { return arch == "arm64" && m.id != "" && strings.EqualFold(m.id, c.core) }
	byPart := slices.ContainsFunc(candidates, samePart)
	named := furthest(candidates, func(m microarch) bool {
		return m.name != best.name && m.is(best.name) && (!byPart || samePart(m))
	})
	if named.name == "" {
		return best
	}
	return named
}

// furthest returns the one with the most ancestors, and then features, of those
// wanted.
func furthest(list []microarch, wanted func(microarch) bool) microarch {
	var best microarch
	for _, m := range list {
		if !wanted(m) {
			continue
		}
		further := cmp.Or(
			cmp.Compare(len(m.ancestors), len(best.ancestors)), cmp.Compare(len(m.features), len(best.features)))
		if best.name == "" || further > 0 {
			best = m
		}
	}
	return best
}

// fitTest returns what tells whether a CPU is of a micro-architecture of its
// own family.
func fitTest(arch string, c cpuInfo) func(microarch) bool {
	switch arch {
	case "amd64", "386":
		has := featureTest(c.flags)
		return func(m microarch) bool { return (m.isGeneric() || m.vendor == c.vendor) && has(m) }
	case "arm64":
		has, vendor := featureTest(c.flags), armVendor(c.vendor)
		// The generic levels have no features in the table; armLevelOf has.
		return func(m microarch) bool { return m.vendor == vendor && has(m) }
	case "ppc64", "ppc64le":
		generation := powerGeneration(c.core)
		return func(m microarch) bool {
			least, err := strconv.Atoi(m.id)
			return err == nil && least <= generation
		}
	default: // riscv64 has names in the table
		return func(m microarch) bool {
			return slices.ContainsFunc(strings.Split(m.id, ";"), func(id string) bool {
				return id != "" && (id == c.core || id == c.modelName)
			})
		}
	}
}

// featureTest returns whether a CPU with these flags has all features of a
// micro-architecture. The kernel calls SSE3 pni; archspec takes sse3 for given
// where there is ssse3, and only there.
func featureTest(flags []string) func(microarch) bool {
	set := make(map[string]struct{}, len(flags)+1)
	for _, flag := range flags {
		set[flag] = struct{}{}
		if flag == "ssse3" {
			set["sse3"] = struct{}{}
		}
	}
	return func(m microarch) bool {
		for _, feature := range m.features {
			if _, ok := set[feature]; !ok {
				return false
			}
		}
		return true
	}
}
