package archspec

import (
	"slices"
	"strings"
	"testing"
)

// armUpTo returns the flags of all that Armv8.minor made mandatory.
func armUpTo(minor int, more ...string) string {
	return strings.Join(append(armLevelFlags()[:minor:minor], append(more, "fp asimd")...), " ")
}

func TestARMLevelIsProvedByFlagsOrName(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, flags, of, level, names string }{
		{"base", "fp asimd crc32", "aarch64", "8.0", ""},
		{"a later flag alone", "fp asimd dcpop", "aarch64", "8.0", ""},
		{"8.1", armUpTo(1), "aarch64", "8.1", "armv8.1a"},
		{"8.2", armUpTo(2), "aarch64", "8.2", "armv8.1a armv8.2a"},
		{"SVE2 is not enough for 9", armUpTo(2, "sve sve2"), "aarch64", "8.2", "armv8.1a armv8.2a"},
		{"8.4", armUpTo(4), "aarch64", "8.4", "armv8.1a armv8.2a armv8.3a armv8.4a"},
		{"8.5", armUpTo(5, "sve"), "aarch64", "8.5", "armv8.1a armv8.2a armv8.3a armv8.4a armv8.5a"},
		{"9.0", armUpTo(5, "sve sve2"), "aarch64", "9.0", "armv8.1a armv8.2a armv8.3a armv8.4a armv8.5a armv9.0a"},
		{"9.1", armUpTo(6, "sve sve2"), "aarch64", "9.1", "armv8.1a armv8.2a armv8.3a armv8.4a armv8.5a armv8.6a armv9.0a"},
		{"8.8", armUpTo(8), "aarch64", "8.8", "armv8.1a armv8.2a armv8.3a armv8.4a armv8.5a armv8.6a"},
		{"9.4", armUpTo(9, "sve2"), "aarch64", "9.4", "armv8.1a armv8.2a armv8.3a armv8.4a armv8.5a armv8.6a armv9.0a armv9.2a"},
		{"by the name, 8", "fp asimd", "thunderx2", "8.1", "armv8.1a"},
		{"by the name, 9", "fp asimd", "neoverse_v3ae", "9.2", "armv8.1a armv8.2a armv8.3a armv8.4a armv8.5a armv8.6a armv9.0a armv9.2a"},
		{"more than the name says", armUpTo(6), "m2", "8.6", "armv8.1a armv8.2a armv8.3a armv8.4a armv8.5a armv8.6a"},
		{"more than the name says, 9", armUpTo(6), "neoverse_v2", "9.1", "armv8.1a armv8.2a armv8.3a armv8.4a armv8.5a armv8.6a armv9.0a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, ok := load().byName[tt.of]
			if !ok {
				t.Fatalf("no %s", tt.of)
			}
			got := armLevelOf(strings.Fields(tt.flags), m)
			if got.String() != tt.level || strings.Join(got.names(), " ") != tt.names {
				t.Errorf("level %s, names %v; want %s, %s", got, got.names(), tt.level, tt.names)
			}
		})
	}
}

// TestARMLevelAgreesWithTheLineage: a CPU's level says the same as the generic names that its
// own name descends from.
func TestARMLevelAgreesWithTheLineage(t *testing.T) {
	t.Parallel()
	for _, m := range load().all {
		if !m.is("aarch64") {
			continue
		}
		names := armLevelOf(m.features, m).names()
		for _, name := range m.lineage() {
			if strings.HasPrefix(name, "armv") && !slices.Contains(names, name) {
				t.Errorf("%s descends from %s, and its level names only %v", m.name, name, names)
			}
		}
	}
}
