package decision

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/policy"
)

func TestPolicyForPods(t *testing.T) {
	t.Parallel()
	static := map[string]string{ConfigSource: "file"}
	fromAPI := map[string]string{ConfigSource: "api"}
	audit := map[string]string{"imagefit.io/mode": "audit"} // as documented
	some := policy.Policy{
		Answers:          policy.Answers{Mode: policy.Enforce, NoFit: policy.Refuse},
		ExemptNamespaces: []string{"kube-system", "infra"}, ExemptStaticPods: true,
		ModeAnnotationNamespaces: []string{"trial"},
		Repositories:             map[string]policy.Answers{"registry.example/team": {Mode: policy.Audit}},
	}
	everywhere := policy.Policy{Answers: policy.Answers{Mode: policy.Audit}, ModeAnnotationNamespaces: []string{"*"}}
	for _, test := range []struct {
		name       string
		policy     policy.Policy
		repository string
		pod        Pod
		mode       string
		exempt     bool
	}{
		{"a namespace", some, "", Pod{"infra", fromAPI}, policy.Enforce, true},
		{"another namespace", some, "", Pod{"default", fromAPI}, policy.Enforce, false},
		{"part of a name", some, "", Pod{"kube", nil}, policy.Enforce, false},
		{"a static pod", some, "", Pod{"default", static}, policy.Enforce, true},
		{"a pod of a URL", some, "", Pod{"default", map[string]string{ConfigSource: "http"}}, policy.Enforce, true},
		{"static pods count", policy.Policy{}, "", Pod{"default", static}, "", false},
		{"nothing", policy.Policy{}, "", Pod{}, "", false},
		{"no namespace", some, "", Pod{}, policy.Enforce, false},
		{"the repository's own mode", some, "registry.example/team/app", Pod{}, policy.Audit, false},
		{"the repository's neighbour", some, "registry.example/teams", Pod{}, policy.Enforce, false},
		{"the pod may choose", some, "", Pod{"trial", audit}, policy.Audit, false},
		{"the pod may not choose", some, "", Pod{"default", audit}, policy.Enforce, false},
		{"any pod may choose", everywhere, "", Pod{"default", map[string]string{ModeAnnotation: "enforce"}}, policy.Enforce, false},
		{"the pod goes before the repository", some, "registry.example/team", Pod{"trial", map[string]string{ModeAnnotation: "enforce"}}, policy.Enforce, false},
		{"no mode", everywhere, "", Pod{"default", map[string]string{ModeAnnotation: "off"}}, policy.Audit, false},
	} {
		got := EffectiveFor(test.policy, test.repository, test.pod)
		if got.Mode != test.mode || got.Exempt != test.exempt {
			t.Errorf("%s: mode %q, exempt %t", test.name, got.Mode, got.Exempt)
		}
		if got.Enforced() != (test.mode != policy.Audit && !test.exempt) {
			t.Errorf("%s: enforced %t", test.name, got.Enforced())
		}
	}
}
