package archspec

import (
	"slices"
	"strings"
	"testing"
)

func TestTableIsSound(t *testing.T) {
	t.Parallel()
	table := load()
	if len(table.all) != 80 || len(table.byName) != 80 {
		t.Errorf("%d micro-architectures of %d names, want archspec's 78 and 2 of our own", len(table.all), len(table.byName))
	}
	featureless := []string{"IBM", "SiFive", "SpacemiT"}
	for i, m := range table.all {
		for _, parent := range m.parents {
			// Parents that come first make a cycle impossible.
			if !slices.ContainsFunc(table.all[:i], func(m microarch) bool { return m.name == parent }) {
				t.Errorf("%s: its parent %s does not come before it", m.name, parent)
			}
		}
		needsFeatures := !m.isGeneric() && !slices.Contains(featureless, m.vendor) && m.name != "i686"
		if m.vendor == "" || needsFeatures && len(m.features) == 0 {
			t.Errorf("%s has vendor %q and %d features", m.name, m.vendor, len(m.features))
		}
		if !m.isGeneric() && len(m.parents) == 0 {
			t.Errorf("%s is a product without a family", m.name)
		}
		if slices.Contains(m.ancestors, m.name) || m.name != strings.TrimSpace(m.name) {
			t.Errorf("%q descends from itself or has spaces", m.name)
		}
		families := 0
		for _, name := range m.lineage() {
			if len(Ancestors(name)) == 0 {
				families++
			}
		}
		if families != 1 {
			t.Errorf("%s is of %d families", m.name, families)
		}
	}
}

// TestDescendantsHaveTheFeaturesOfAncestors: what descends from a micro-architecture runs what
// was built for it.
func TestDescendantsHaveTheFeaturesOfAncestors(t *testing.T) {
	t.Parallel()
	for _, m := range load().all {
		for _, name := range m.ancestors {
			ancestor, ok := load().byName[name]
			if !ok {
				t.Fatalf("%s: no ancestor %s", m.name, name)
			}
			for _, feature := range ancestor.features {
				if !slices.Contains(m.features, feature) {
					t.Errorf("%s lacks %s of its ancestor %s", m.name, feature, name)
				}
			}
			for _, older := range ancestor.ancestors {
				if !slices.Contains(m.ancestors, older) {
					t.Errorf("%s descends from %s and not from its ancestor %s", m.name, name, older)
				}
			}
		}
	}
}

func TestAncestorsAreCompleteAndCopied(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"x86_64":      "",
		"x86_64_v3":   "x86_64_v2 x86_64",
		"zen2":        "zen x86_64_v3 x86_64_v2 x86_64",
		"excavator":   "steamroller x86_64_v3 piledriver bulldozer x86_64_v2 x86_64",
		"cannonlake":  "skylake x86_64_v4 broadwell haswell ivybridge x86_64_v3 sandybridge westmere nehalem core2 x86_64_v2 nocona x86_64",
		"power9le":    "power8le ppc64le",
		"neoverse_n2": "neoverse_n1 armv9.0a cortex_a72 armv8.2a aarch64 armv8.1a armv8.5a armv8.4a armv8.3a",
		"x60":         "riscv64",
		"nothing":     "",
		"":            "",
	}
	for name, want := range tests {
		got := Ancestors(name)
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		sorted := slices.Sorted(slices.Values(got))
		if !slices.Equal(sorted, wanted) {
			t.Errorf("ancestors of %q are %v, want %s", name, got, want)
		}
	}
	Ancestors("zen2")[0] = "changed"
	if got := Ancestors("zen2")[0]; got != "zen" {
		t.Errorf("a caller can change the table: %s", got)
	}
}

func TestOnlyNamesOfTheTableAreKnown(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"x86_64": true, "zen5": true, "arrowlake_s": true, "power10le": true, "x60": true, "s390x": true, "armv9.2a": true,
		"": false, "amd64": false, "zen99": false, "ZEN": false, "x86_64_v5": false, "|": false,
	} {
		if got := Known(name); got != want {
			t.Errorf("Known(%q) = %v", name, got)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parse(table)
	}
}

func TestAncestorsWeighLessThanHalfAFeature(t *testing.T) {
	t.Parallel()
	for _, m := range load().all {
		if 1+len(m.ancestors) >= PerFeature/2 {
			t.Errorf("%s has %d ancestors", m.name, len(m.ancestors))
		}
	}
}

// TestAliasesLeadToFeaturesOfTheTable: an alias of nothing would be a misspelling.
func TestAliasesLeadToFeaturesOfTheTable(t *testing.T) {
	t.Parallel()
	for alias, name := range flagAliases() {
		if !slices.ContainsFunc(load().all, func(m microarch) bool { return slices.Contains(m.features, name) }) {
			t.Errorf("%s is an alias of %s, which no target has", alias, name)
		}
	}
	flags := "mmx sse sse2 pni ssse3 sse4.1 sse4.2 popcnt cx16 lahf avx1.0 avx2 bmi bmi2 f16c fma3 lzcnt movbe xsave"
	fit := FitOf(x86CPU("GenuineIntel", flags))
	checkFit(t, fit, "x86_64_v2 x86_64_v3", "x86_64_v4", "")
}

// TestEmittedFeaturesAreOfTheTable: a misspelt feature would never refuse.
func TestEmittedFeaturesAreOfTheTable(t *testing.T) {
	t.Parallel()
	later := []string{"mops", "cssc"} // of levels of ARM that archspec does not have yet
	for _, family := range []string{"x86", "x86_64", "aarch64", "riscv64"} {
		for feature, w := range weights(family) {
			has := func(m microarch) bool {
				level, isLevel := armLevelNamed(m.name)
				return m.is(family) && (slices.Contains(m.features, feature) || isLevel && slices.Contains(level.flags(), feature))
			}
			if w == emitted && !slices.ContainsFunc(load().all, has) && !slices.Contains(later, feature) {
				t.Errorf("no target of %s has %s", family, feature)
			}
		}
	}
}
