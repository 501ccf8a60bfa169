package selector_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// TestNamesOfElementsMatch holds every operator that makes sense there against the names
// of a set: known, known in part, unknown, and of a list of devices.
func TestNamesOfElementsMatch(t *testing.T) {
	t.Parallel()
	facts := facts.New("linux", "amd64", facts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX", "AVX2", "SSE42"}, "none.none": {}},
		Attributes: map[string]map[string]string{"cpu.model": {"vendor_id": "AMD"}, "hz.hz": {"100": "", "250": ""}},
		Instances:  map[string][]map[string]string{"pci.device": {pci("10de", "0300"), {"sriov_totalvfs": "8"}}, "usb.device": {}},
		Unknown:    map[string]string{"cpu.model/hypervisor": "no CPUID", "dark.dark": "permission denied"},
	})
	tests := []struct {
		name, set, expression string
		want                  selector.Outcome
	}{
		{"In", "cpu.cpuid", `{op: In, value: [AVX2, AMX]}`, fits},
		{"In, none", "cpu.cpuid", `{op: In, value: [AVX512F]}`, unfit},
		{"NotIn: another name is there", "cpu.cpuid", `{op: NotIn, value: [AVX2]}`, fits},
		{"NotIn: no other name is there", "cpu.model", `{op: NotIn, value: [vendor_id, hypervisor]}`, unfit},
		{"InRegexp", "cpu.cpuid", `{op: InRegexp, value: ["^AVX"]}`, fits},
		{"InRegexp, none", "cpu.cpuid", `{op: InRegexp, value: ["^AMX"]}`, unfit},
		{"InRegexp, the value does not count", "cpu.model", `{op: InRegexp, value: ["AMD"]}`, unfit},
		{"Exists", "cpu.cpuid", `{op: Exists}`, fits},
		{"Exists in an empty set", "none.none", `{op: Exists}`, unfit},
		{"any", "cpu.cpuid", `{op: ""}`, fits},
		{"DoesNotExist never matches", "cpu.cpuid", `{op: DoesNotExist}`, unfit},
		{"Gt of names that are numbers", "hz.hz", `{op: Gt, value: ["200"]}`, fits},
		{"Gt of names that are none", "cpu.cpuid", `{op: Gt, value: ["200"]}`, unknown},
		{"a name that may be there", "cpu.model", `{op: In, value: [hypervisor]}`, unknown},
		{"another beside one that may be there", "cpu.model", `{op: In, value: [hypervisor, vendor_id]}`, fits},
		{"an unknown set", "dark.dark", `{op: Exists}`, unknown},
		{"a set that nobody collects", "gpu.gpu", `{op: Exists}`, unknown},
		{"an attribute of a device", "pci.device", `{op: In, value: [sriov_totalvfs]}`, fits},
		{"an attribute of no device", "pci.device", `{op: In, value: [dax]}`, unfit},
		{"no device", "usb.device", `{op: Exists}`, unfit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := selector.Evaluate(facts, parseNFD(t, oneSet(feature(tt.set, "matchName: "+tt.expression))))
			if v.Outcome != tt.want {
				t.Errorf("got %s, want %s (%s)", v.Outcome, tt.want, v.Reason())
			}
		})
	}
}

// How the parts of a spec decide together.
func TestNFDRulesAreEvaluatedAsByNFD(t *testing.T) {
	t.Parallel()
	const (
		yes    = "{feature: cpu.cpuid, matchExpressions: {AVX: {op: Exists}}}"
		no     = "{feature: cpu.cpuid, matchExpressions: {AVX2: {op: Exists}}}"
		maybe  = "{feature: cpu.cpuid, matchExpressions: {AMX: {op: Exists}}}"
		wants1 = "{name: wants, matchFeatures: [{feature: rule.matched, matchExpressions: {a: {op: In, value: ['1']}}}]}"
		dark   = "{feature: network.device, matchExpressions: {speed: {op: Ge, value: ['100']}}}"
	)
	rule := func(fields ...string) string { return "{" + strings.Join(fields, ", ") + "}" }
	features := func(list ...string) string { return "matchFeatures: [" + strings.Join(list, ", ") + "]" }
	anyOf := func(list ...string) string {
		return "matchAny: [{matchFeatures: [" + strings.Join(list, "]}, {matchFeatures: [") + "]}]"
	}
	sets := func(list ...string) string {
		return "{version: v1alpha1, compatibilities: [{rules: [" + strings.Join(list, "]}, {rules: [") + "]}]}"
	}
	tests := []struct {
		name, spec string
		want       selector.Outcome
	}{
		{"no set asks nothing", "{version: v1alpha1, compatibilities: []}", fits},
		{"a set without rules", sets(""), fits},
		{"an empty rule", sets("{}"), fits},
		{"features AND", sets(rule(features(yes, no))), unfit},
		{"features AND unknown", sets(rule(features(yes, maybe))), unknown},
		{"features that fail beside unknown", sets(rule(features(maybe, no))), unfit},
		{"matchAny OR", sets(rule(anyOf(no, yes))), fits},
		{"matchAny OR unknown", sets(rule(anyOf(no, maybe))), unknown},
		{"matchAny none", sets(rule(anyOf(no, no))), unfit},
		{"an empty matchAny", sets(rule("matchAny: []", features(yes))), fits},
		{"features AND matchAny", sets(rule(features(no), anyOf(yes))), unfit},
		{"matchAny AND features", sets(rule(features(yes), anyOf(no))), unfit},
		{"rules AND", sets(rule(features(yes)) + "," + rule(features(no))), unfit},
		{"sets OR", sets(rule(features(no)), rule(features(yes))), fits},
		{"sets OR unknown", sets(rule(features(no)), rule(features(maybe))), unknown},
		{"a feature that is there", sets(rule(features("{feature: cpu.cpuid}"))), fits},
		{"a feature with nothing in it", sets(rule(features("{feature: cpu.archspec}"))), unfit},
		{"a feature nobody collects", sets(rule(features("{feature: gpu.gpu}"))), unknown},
		{"a list that nobody could read", sets(rule(features(dark))), unknown},
		{"vars", sets(rule("name: v", "vars: {a: 1}", features(yes)) + "," + wants1), fits},
		{"vars of another value", sets(rule("vars: {a: 2}", features(yes)) + "," + wants1), unfit},
		{"a later rule overrules", sets("{vars: {a: 1}},{vars: {a: 2}}," + wants1), unfit},
		{"vars come too late", sets(wants1 + ",{vars: {a: 1}}"), unfit},
		{"vars of a rule that is unknown", sets(rule("vars: {a: 1}", features(maybe)) + "," + wants1), unknown},
		{"vars do not leak into the next set", sets("{vars: {a: 1}},"+rule(features(no)), wants1), unfit},
		{"vars of a template", sets("{name: t, varsTemplate: 'a=1'}," + wants1), unknown},
		{"a template of another set", sets("{varsTemplate: 'a=1'},"+rule(features(no)), wants1), unfit},
		{"a template that nobody refers to", sets("{varsTemplate: 'a=1'}," + rule(features(yes))), fits},
		{"an operator that is not known", sets(rule(features("{feature: cpu.cpuid, matchExpressions: {AVX: {op: Gte, value: [1]}}}"))), unknown},
		{"beside one that fails", sets(rule(features("{feature: cpu.cpuid, matchExpressions: {AVX: {op: Gte, value: [1]}}}", no))), unfit},
		{"names and expressions", sets(rule(features("{feature: cpu.cpuid, matchName: {op: In, value: [SSE42]}, matchExpressions: {AVX: }}"))), fits},
		{"names, but not expressions", sets(rule(features("{feature: cpu.cpuid, matchName: {op: In, value: [SSE42]}, matchExpressions: {AVX2: }}"))), unfit},
		{"expressions, but not names", sets(rule(features("{feature: cpu.cpuid, matchName: {op: In, value: [AVX2]}, matchExpressions: {AVX: }}"))), unfit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if v := selector.Evaluate(testNode(), parseNFD(t, tt.spec)); v.Outcome != tt.want {
				t.Errorf("got %s, want %s (%s)", v.Outcome, tt.want, v.Reason())
			}
		})
	}
}
