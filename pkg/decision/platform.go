package decision

import (
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/version"
)

// node is the platform of the node as matchers of index entries.
type node struct {
	eligible platforms.MatchComparer // could this os and architecture run it at all?
	runtime  platforms.MatchComparer // what the runtime looks for by itself
}

// newNode takes os and architecture from the facts. On amd64 every level is
// eligible, for whether the CPU has it is a requirement like any other; on ARM
// the runtime's own detection of the variant applies to both.
func newNode(facts *facts.Facts) node {
	runtime := ocispec.Platform{OS: facts.OS(), Architecture: facts.Arch()}
	if own := platforms.DefaultSpec(); own.Architecture == runtime.Architecture {
		runtime.Variant = own.Variant
	}
	eligible := runtime
	if runtime.Architecture == "amd64" {
		eligible.Variant = "v4"
	}
	return node{
		eligible: platforms.Only(platforms.Normalize(eligible)),
		runtime:  platforms.Only(platforms.Normalize(runtime)),
	}
}

// canRun reports whether the entry is a candidate. Its os.features do not matter
// here: they are evaluated as requirements.
func (n node) canRun(p ocispec.Platform) bool {
	p.OSFeatures = nil
	return n.eligible.Match(platforms.Normalize(p))
}

// runtimeChoice returns the index of the entry that the runtime takes when it
// is given the whole index: the best match, and of equals the first.
func (n node) runtimeChoice(entries []index.Entry) int {
	best := None
	for i, e := range entries {
		if e.Platform == nil || !n.runtime.Match(platforms.Normalize(*e.Platform)) {
			continue
		}
		if best == None || n.runtime.Less(*e.Platform, *entries[best].Platform) {
			best = i
		}
	}
	return best
}

// platformRequirements returns what the variant of a platform asks for beyond os
// and architecture.
func platformRequirements(p ocispec.Platform) []compat.Requirement {
	n := amd64Level(platforms.Normalize(p))
	if n == "" || n == "1" {
		return nil
	}
	return []compat.Requirement{{
		Key: "platform/variant", Set: "cpu.x86_64",
		Terms: []compat.Term{{Element: "level", Op: compat.Ge, Values: []string{n}}},
	}}
}

func amd64Level(p ocispec.Platform) string {
	if p.Architecture != "amd64" {
		return ""
	}
	return strings.TrimPrefix(p.Variant, "v")
}

// platformLevel is the micro-architecture level that a platform declares, as a
// number that grows with it. Levels of one architecture compare with each
// other; an older architecture of the family (386, 32-bit ARM) is below.
func platformLevel(p ocispec.Platform) int {
	p = platforms.Normalize(p)
	variant, _ := version.Parse(p.Variant)
	switch p.Architecture {
	case "amd64":
		return max(1, part(variant, 0))
	case "arm64":
		return max(8, part(variant, 0))*100 + part(variant, 1)
	case "arm":
		return part(variant, 0) * 100
	default:
		return 0
	}
}

func part(v version.Version, i int) int {
	if i < len(v) {
		return int(min(v[i], 99))
	}
	return 0
}
