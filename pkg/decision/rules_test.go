package decision

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestTreatment(t *testing.T) {
	t.Parallel()
	static := map[string]string{ConfigSource: "file"}
	fromAPI := map[string]string{ConfigSource: "api"}
	audit := map[string]string{"imagefit.io/mode": "audit"} // as documented
	some := config.Policy{
		Answers:          config.Answers{Mode: config.Enforce, NoFit: config.Refuse},
		ExemptNamespaces: []string{"kube-system", "infra"}, ExemptStaticPods: true,
		ModeAnnotationNamespaces: []string{"trial"},
		Repositories:             map[string]config.Answers{"registry.example/team": {Mode: config.Audit}},
	}
	everywhere := config.Policy{Answers: config.Answers{Mode: config.Audit}, ModeAnnotationNamespaces: []string{"*"}}
	for _, test := range []struct {
		name       string
		policy     config.Policy
		repository string
		pod        Pod
		mode       string
		exempt     bool
	}{
		{"a namespace", some, "", Pod{"infra", fromAPI}, config.Enforce, true},
		{"another namespace", some, "", Pod{"default", fromAPI}, config.Enforce, false},
		{"part of a name", some, "", Pod{"kube", nil}, config.Enforce, false},
		{"a static pod", some, "", Pod{"default", static}, config.Enforce, true},
		{"a pod of a URL", some, "", Pod{"default", map[string]string{ConfigSource: "http"}}, config.Enforce, true},
		{"static pods count", config.Policy{}, "", Pod{"default", static}, "", false},
		{"nothing", config.Policy{}, "", Pod{}, "", false},
		{"no namespace", some, "", Pod{}, config.Enforce, false},
		{"the repository's own mode", some, "registry.example/team/app", Pod{}, config.Audit, false},
		{"the repository's neighbour", some, "registry.example/teams", Pod{}, config.Enforce, false},
		{"the pod may choose", some, "", Pod{"trial", audit}, config.Audit, false},
		{"the pod may not choose", some, "", Pod{"default", audit}, config.Enforce, false},
		{"any pod may choose", everywhere, "", Pod{"default", map[string]string{ModeAnnotation: "enforce"}}, config.Enforce, false},
		{"the pod goes before the repository", some, "registry.example/team", Pod{"trial", map[string]string{ModeAnnotation: "enforce"}}, config.Enforce, false},
		{"no mode", everywhere, "", Pod{"default", map[string]string{ModeAnnotation: "off"}}, config.Audit, false},
	} {
		rules := Rules{Policy: test.policy}
		got := rules.For(test.repository, test.pod)
		if got.Mode != test.mode || got.Exempt != test.exempt {
			t.Errorf("%s: mode %q, exempt %t", test.name, got.Mode, got.Exempt)
		}
		if got.Enforced() != (test.mode != config.Audit && !test.exempt) {
			t.Errorf("%s: enforced %t", test.name, got.Enforced())
		}
	}
}

func TestAction(t *testing.T) {
	t.Parallel()
	bare := &Decision{Reference: "r", Candidates: make([]Candidate, 1), Reason: "best"}
	attached := &Decision{Candidates: []Candidate{{Artifacts: make([]Artifact, 1)}}, Reason: "best"}
	none := &Decision{Candidates: []Candidate{{Artifacts: make([]Artifact, 1)}}, Choice: None, Reason: "none"}
	with := func(noArtifact, noFit string) config.Answers {
		return config.Answers{NoArtifact: noArtifact, NoFit: noFit}
	}
	for _, test := range []struct {
		name   string
		d      *Decision
		policy config.Answers
		action decisionlog.Action
		reason string
	}{
		{"nothing to choose", &Decision{Choice: None, Reason: "empty"}, with(config.Refuse, config.Refuse), decisionlog.Forwarded, "empty"},
		{"bare", bare, with(config.Select, config.Refuse), decisionlog.Pulled, "best"},
		{"bare, forwarded", bare, with(config.Forward, config.Refuse), decisionlog.Forwarded, "r has no compatibility artifact and is left to the runtime (policy.no_artifact)"},
		{"bare, refused", bare, with(config.Refuse, config.Forward), decisionlog.Refused, "r has no compatibility artifact and is refused (policy.no_artifact)"},
		{"attached", attached, with(config.Refuse, config.Refuse), decisionlog.Pulled, "best"},
		{"none fits", none, with(config.Refuse, config.Refuse), decisionlog.Refused, "none"},
		{"none fits, forwarded", none, with(config.Refuse, config.Forward), decisionlog.Forwarded, "none"},
	} {
		if action, reason := test.d.Action(test.policy); action != test.action || reason != test.reason {
			t.Errorf("%s: %s, %q", test.name, action, reason)
		}
	}
}

// TestUnpacks: a variant that the runtime would not unpack is none to choose.
func TestUnpacks(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	pushLevels(r)
	road := newTestRoad(t, r, levelFacts(3))
	if got := chosen(decide(t, road, app)); got != "linux/amd64/v3" {
		t.Fatalf("chosen %s", got)
	}
	road.Unpacks = func(p ocispec.Platform) bool { return p.Variant == "" }
	change(road, func(*Rules) {})
	d := decide(t, road, app)
	if got := chosen(d); got != "linux/amd64" {
		t.Errorf("chosen %s", got)
	}
	for i, c := range d.Candidates {
		if c.Platform == "linux/amd64/v3" && (c.Outcome != "does not fit" || !strings.Contains(c.Reason, unpackless)) {
			t.Errorf("candidate %d: %s, %q", i, c.Outcome, c.Reason)
		}
	}
	road.Unpacks = func(ocispec.Platform) bool { return false }
	change(road, func(*Rules) {})
	if d := decide(t, road, app); !d.Refused() || len(d.Cases) != 2 {
		t.Errorf("chosen %s, cases %v", chosen(d), d.Cases)
	} else {
		t.Log(d.Reason)
	}
}

// TestRepositoryOf: what [policy.repositories] is held against, however a pod
// spells its image.
func TestRepositoryOf(t *testing.T) {
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

func TestIsImageID(t *testing.T) {
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
