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
		ExemptNamespaces: []string{"kube-system", "infra", "ops"}, ExemptStaticPods: true,
		ModeAnnotationNamespaces: []string{"trial"},
		Repositories:             map[string]Answers{"registry.example/team": {Mode: Audit}, "registry.example/kind": {NoFit: Forward}},
		Namespaces:               map[string]string{"staging": Warn, "prod": Enforce, "lab": Audit, "ops": Warn},
	}
	auditing := some
	auditing.Mode = Audit
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
		{"the namespace's own mode", some, "registry.example/app", Pod{"staging", fromAPI}, Warn, false},
		{"the namespace's neighbour", some, "registry.example/app", Pod{"staging-2", fromAPI}, Enforce, false},
		{"the namespace's mode, of any repository", some, "", Pod{"staging", fromAPI}, Warn, false},
		{"the namespace goes before the node", auditing, "registry.example/app", Pod{"prod", fromAPI}, Enforce, false},
		{"the repository is milder than the namespace", some, "registry.example/team", Pod{"prod", fromAPI}, Audit, false},
		{"the namespace is milder than the repository", some, "registry.example/team", Pod{"lab", fromAPI}, Audit, false},
		{"a repository without a mode", some, "registry.example/kind", Pod{"staging", fromAPI}, Warn, false},
		{"exempt in a namespace with a mode", some, "", Pod{"ops", fromAPI}, Warn, true},
		{"the pod chooses to be warned", some, "", Pod{"trial", map[string]string{ModeAnnotation: "warn"}}, Warn, false},
		{"no mode", everywhere, "", Pod{"default", map[string]string{ModeAnnotation: "off"}}, Audit, false},
	} {
		got := EffectiveFor(test.policy, test.repository, test.pod)
		if got.Mode != test.mode || got.Exempt != test.exempt {
			t.Errorf("%s: mode %q, exempt %t", test.name, got.Mode, got.Exempt)
		}
		if got.Enforced() != (test.mode != Audit && test.mode != Warn && !test.exempt) {
			t.Errorf("%s: enforced %t", test.name, got.Enforced())
		}
		if got.Warned() != (test.mode == Warn && !test.exempt) {
			t.Errorf("%s: warned %t", test.name, got.Warned())
		}
	}
}
