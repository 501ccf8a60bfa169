package policy

import (
	"testing"
)

func TestPodsAreExemptOrChooseTheirModeWhereAllowed(t *testing.T) {
	t.Parallel()
	static := map[string]string{ConfigSource: "file"}
	fromAPI := map[string]string{ConfigSource: "api"}
	audit := map[string]string{"imagefit.io/mode": "audit"} // as documented
	some := Policy{
		Answers:          Answers{Mode: Enforce, NoFit: Refuse},
		ExemptNamespaces: []string{"kube-system", "infra"}, ExemptStaticPods: true,
		ModeAnnotationNamespaces: []string{"trial"},
		Repositories:             map[string]Answers{"registry.example/team": {Mode: Audit}},
	}
	everywhere := Policy{Answers: Answers{Mode: Audit}, ModeAnnotationNamespaces: []string{"*"}}
	for _, test := range []struct {
		name       string
		policy     Policy
		repository string
		pod        Pod
		mode       string
		exempt     bool
	}{
		{"a namespace", some, "", Pod{"infra", fromAPI}, Enforce, true},
		{"another namespace", some, "", Pod{"default", fromAPI}, Enforce, false},
		{"part of a name", some, "", Pod{"kube", nil}, Enforce, false},
		{"a static pod", some, "", Pod{"default", static}, Enforce, true},
		{"a pod of a URL", some, "", Pod{"default", map[string]string{ConfigSource: "http"}}, Enforce, true},
		{"static pods count", Policy{}, "", Pod{"default", static}, "", false},
		{"nothing", Policy{}, "", Pod{}, "", false},
		{"no namespace", some, "", Pod{}, Enforce, false},
		{"the repository's own mode", some, "registry.example/team/app", Pod{}, Audit, false},
		{"the repository's neighbour", some, "registry.example/teams", Pod{}, Enforce, false},
		{"the pod may choose", some, "", Pod{"trial", audit}, Audit, false},
		{"the pod may not choose", some, "", Pod{"default", audit}, Enforce, false},
		{"any pod may choose", everywhere, "", Pod{"default", map[string]string{ModeAnnotation: "enforce"}}, Enforce, false},
		{"the pod goes before the repository", some, "registry.example/team", Pod{"trial", map[string]string{ModeAnnotation: "enforce"}}, Enforce, false},
		{"no mode", everywhere, "", Pod{"default", map[string]string{ModeAnnotation: "off"}}, Audit, false},
	} {
		got := EffectiveFor(test.policy, test.repository, test.pod)
		if got.Mode != test.mode || got.Exempt != test.exempt {
			t.Errorf("%s: mode %q, exempt %t", test.name, got.Mode, got.Exempt)
		}
		if got.Enforced() != (test.mode != Audit && !test.exempt) {
			t.Errorf("%s: enforced %t", test.name, got.Enforced())
		}
	}
}
