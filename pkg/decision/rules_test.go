package decision

import (
	"strings"
	"testing"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/selector"
)

func TestActionFollowsThePolicy(t *testing.T) {
	t.Parallel()
	bare := &Decision{Reference: "r", Candidates: make([]Candidate, 1), Reason: "best"}
	attached := &Decision{Candidates: []Candidate{{Artifacts: make([]referrers.Artifact, 1)}}, Reason: "best"}
	none := &Decision{Candidates: []Candidate{{Artifacts: make([]referrers.Artifact, 1)}}, Choice: None, Reason: "none"}
	with := func(noArtifact, noFit string) policy.Answers {
		return policy.Answers{NoArtifact: noArtifact, NoFit: noFit}
	}
	for _, test := range []struct {
		name   string
		d      *Decision
		policy policy.Answers
		action policy.Action
		reason string
	}{
		{"nothing to choose", &Decision{Choice: None, Reason: "empty"}, with(policy.Refuse, policy.Refuse), policy.Forwarded, "empty"},
		{"bare", bare, with(policy.Select, policy.Refuse), policy.Pulled, "best"},
		{"bare, forwarded", bare, with(policy.Forward, policy.Refuse), policy.Forwarded, "r has no compatibility artifact and is left to the runtime (policy.no_artifact)"},
		{"bare, refused", bare, with(policy.Refuse, policy.Forward), policy.Refused, "r has no compatibility artifact and is refused (policy.no_artifact)"},
		{"attached", attached, with(policy.Refuse, policy.Refuse), policy.Pulled, "best"},
		{"none fits", none, with(policy.Refuse, policy.Refuse), policy.Refused, "none"},
		{"none fits, forwarded", none, with(policy.Refuse, policy.Forward), policy.Forwarded, "none"},
	} {
		if action, _, reason := test.d.Action(test.policy); action != test.action || reason != test.reason {
			t.Errorf("%s: %s, %q", test.name, action, reason)
		}
	}
}

// A variant that the runtime would not unpack is none to choose.
func TestAVariantThatTheRuntimeDoesNotUnpackDoesNotFit(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	pushLevels(r)
	resolver := newTestResolver(t, r, testkit.Node(3))
	if got := chosen(decide(t, resolver, app)); got != "linux/amd64/v3" {
		t.Fatalf("chosen %s", got)
	}
	resolver.runtime = unpacks(func(p ocispec.Platform) bool { return p.Variant == "" })
	change(resolver, func(*Rules) {})
	d := decide(t, resolver, app)
	if got := chosen(d); got != "linux/amd64" {
		t.Errorf("chosen %s", got)
	}
	for i, c := range d.Candidates {
		if c.Platform == "linux/amd64/v3" && (c.Outcome != selector.Unfit || !strings.Contains(c.Reason, unpackless)) {
			t.Errorf("candidate %d: %s, %q", i, c.Outcome, c.Reason)
		}
	}
	resolver.runtime = unpacks(func(ocispec.Platform) bool { return false })
	change(resolver, func(*Rules) {})
	if d := decide(t, resolver, app); !d.Refused() || len(d.Cases) != 2 {
		t.Errorf("chosen %s, cases %v", chosen(d), d.Cases)
	} else {
		t.Log(d.Reason)
	}
}

// What [policy.repositories] is held against, however a pod
// spells its image.
func TestRepositoryOfNormalisesReferences(t *testing.T) {
	t.Parallel()
	const hex = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for ref, want := range map[string]string{
		"busybox":                              "docker.io/library/busybox",
		"busybox@sha256:" + hex:                "docker.io/library/busybox",
		"team/app:1":                           "docker.io/team/app",
		"index.docker.io/team/app":             "docker.io/team/app",
		"registry.example/team/app:1":          "registry.example/team/app",
		"registry.example/app:1@sha256:" + hex: "registry.example/app",
		"localhost:5000/app@sha256:" + hex:     "localhost:5000/app",
		"no reference":                         "",
		"registry.example/" + strings.Repeat("a/", maxReference) + "b": "",
		hex: "",
	} {
		if got := RepositoryOf(ref); got != want {
			t.Errorf("%.80s: %q, want %q", ref, got, want)
		}
	}
}

func TestImageIDsAreToldFromReferences(t *testing.T) {
	t.Parallel()
	const hex = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for ref, want := range map[string]bool{
		"sha256:" + hex: true, hex: true, "sha256:aaaa": true,
		"": false, "sha256:": false, "sha256:latest": false, "sha256": false, "aaaa": false,
		"registry.example/app:1": false, "registry.example/app@sha256:" + hex: false,
	} {
		if got := IsImageID(ref); got != want {
			t.Errorf("%q: %t", ref, got)
		}
	}
}

// unpacks is a runtime that unpacks what the function says.
type unpacks func(ocispec.Platform) bool

func (u unpacks) WillUnpack(p ocispec.Platform) bool { return u(p) }

func (unpacks) Matches() platforms.MatchComparer {
	return platforms.Only(ocispec.Platform{OS: "linux", Architecture: "amd64"})
}
