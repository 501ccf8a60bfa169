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
	os, architecture string
	eligible         platforms.MatchComparer // could this os and architecture run it at all?
	runtime          platforms.MatchComparer // what the runtime looks for by itself
}

// newNode takes os and architecture from the facts. On amd64 every level is
// eligible, for whether the CPU has it is a requirement like any other; on ARM
// the runtime's own detection of the variant applies to both.
func (e *Evaluator) newNode(facts *facts.Facts) node {
	own := ocispec.Platform{OS: facts.OS(), Architecture: facts.Arch()}
	if host := platforms.DefaultSpec(); host.Architecture == own.Architecture {
		own.Variant = host.Variant
	}
	eligible := own
	if own.Architecture == "amd64" {
		eligible.Variant = "v4"
	}
	n := node{
		os: own.OS, architecture: own.Architecture,
		eligible: platforms.Only(platforms.Normalize(eligible)),
		runtime:  platforms.Only(platforms.Normalize(own)),
	}
	if e.runtime != nil {
		n.runtime = e.runtime.Matches()
	}
	return n
}

// String is os and architecture of the node.
func (n node) String() string { return n.os + "/" + n.architecture }

// canRun reports whether the entry is a candidate. Its os.features do not matter
// here: they are evaluated as requirements.
func (n node) canRun(p ocispec.Platform) bool {
	p.OSFeatures = nil
	return n.eligible.Match(platforms.Normalize(p))
}

// otherPlatform says why the node cannot run a platform.
func (n node) otherPlatform(p ocispec.Platform) string {
	switch p = platforms.Normalize(p); {
	case p.OS != n.os:
		return "for another operating system"
	case p.Architecture != n.architecture:
		return "for another architecture"
	default:
		return "for another variant of the architecture"
	}
}

// runtimeTakes follows containerd through the entries of an index: it takes the best
// of those that it looks for, of equals the first, what states no platform last, and
// so on in an index within the index. That is a candidate or None; or else an entry
// that the runtime may run and imagefit has not evaluated.
func (n node) runtimeTakes(entries []*listed) (candidate int, unevaluated string) {
	var best *listed
	for _, e := range entries {
		if stated := e.Listed.Platform; (stated == nil || n.runtime.Match(*stated)) && (best == nil || n.before(e, best)) {
			best = e
		}
	}
	switch {
	case best == nil, best.Artifact:
		return None, ""
	case best.wasRead:
		return n.runtimeTakes(best.children)
	case best.Listed.Platform == nil && best.platform != nil && !n.runtime.Match(*best.platform):
		return None, "" // it looks at the config at last
	case best.candidate != None:
		return best.candidate, ""
	case !index.IsIndex(best.Listed.MediaType) && !index.IsManifest(best.Listed.MediaType):
		return None, ""
	default:
		return None, best.String()
	}
}

// before is the order in which containerd prefers entries.
func (n node) before(a, b *listed) bool {
	switch {
	case a.Listed.Platform == nil:
		return false
	case b.Listed.Platform == nil:
		return true
	default:
		return n.runtime.Less(*a.Listed.Platform, *b.Listed.Platform)
	}
}

// platformRequirements returns what the variant of a platform asks for beyond os
// and architecture.
func platformRequirements(p ocispec.Platform) []compat.Requirement {
	n := amd64Level(platforms.Normalize(p))
	if n == "" || n == "1" {
		return nil
	}
	return []compat.Requirement{levelRequirement(n)}
}

func levelRequirement(n string) compat.Requirement {
	return compat.Requirement{
		Key: "platform/variant", Set: "cpu.x86_64",
		Terms: []compat.Term{{Element: "level", Op: compat.Ge, Values: []string{n}}},
	}
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
