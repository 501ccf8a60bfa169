package selector_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

const (
	unknown = selector.Unknown
	unfit   = selector.Unfit
	fits    = selector.Fits
)

// testNode is a node with something in each of the three states.
func testNode() *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{"cpu.cpuid": {"AVX", "SSE42"}, "kernel.loadedmodule": {}},
		Attributes: map[string]map[string]string{
			"kernel.version": {"full": "6.1.0-13-amd64", "major": "6", "odd": "garbage", "negative": "-1"},
			"kernel.selinux": {"enabled": "true", "off": "false", "maybe": "perhaps"},
			"cpu.x86_64":     {"level": "2"},
			"cpu.archspec":   {},
		},
		Instances: map[string][]map[string]string{
			"memory.nv": {},
			"pci.device": {
				{"vendor": "10de", "class": "0200", "numa_node": "-1"},
				{"vendor": "15b3", "class": "0300", "speed": "fast"},
			},
		},
		Unknown: map[string]string{"kernel.config": "permission denied", "cpu.cpuid/AMX": "no such file", "network.device": "not a folder"},
	})
}

func req(set, element string, op compat.Op, values ...string) compat.Requirement {
	return compat.Requirement{Key: "g/k", Set: set, Terms: []compat.Term{{Element: element, Op: op, Values: values}}}
}

func not(r compat.Requirement) compat.Requirement { r.Not = true; return r }

func term(element string, op compat.Op, values ...string) compat.Term {
	return compat.Term{Element: element, Op: op, Values: values}
}

type checkTest struct {
	name    string
	req     compat.Requirement
	want    selector.Outcome
	wantNot selector.Outcome // of the same requirement with Not
}

// TestOperatorsOnPresentAbsentAndUnknownFacts holds every operator against a fact that is present, absent and
// unknown, the last both for a set and for an element.
func TestOperatorsOnPresentAbsentAndUnknownFacts(t *testing.T) {
	t.Parallel()
	const kv, se = "kernel.version", "kernel.selinux"
	var tests []checkTest
	ops := []struct {
		op              compat.Op
		values          []string
		present, absent selector.Outcome // of kernel.version full, and of an element that is not there
	}{
		{compat.Exists, nil, fits, unfit},
		{compat.DoesNotExist, nil, unfit, fits},
		{compat.In, []string{"x", "6.1.0-13-amd64"}, fits, unfit},
		{compat.In, []string{"6.1.0"}, unfit, unfit},
		{compat.In, nil, unfit, unfit},
		{compat.NotIn, []string{"6.1.0-13-amd64"}, unfit, fits},
		{compat.NotIn, []string{"6.1.0"}, fits, fits},
		{compat.IsTrue, nil, unfit, unfit},
		{compat.IsFalse, nil, unfit, fits},
		{compat.Gt, []string{"6.1"}, unfit, unfit},
		{compat.Gt, []string{"6.0.99"}, fits, unfit},
		{compat.Ge, []string{"6.1"}, fits, unfit},
		{compat.Ge, []string{"6.1.1"}, unfit, unfit},
		{compat.Lt, []string{"6.1"}, unfit, unfit},
		{compat.Lt, []string{"6.10"}, fits, unfit},
		{compat.Le, []string{"6.1.0"}, fits, unfit},
		{compat.Le, []string{"6.0"}, unfit, unfit},
		{compat.Ge, []string{"new"}, unknown, unfit},
		{compat.Ge, nil, unknown, unfit},
		{compat.Ge, []string{"1", "2"}, unknown, unfit},
		{"Like", []string{"6"}, unknown, unknown},
		{"", nil, unknown, unknown},
	}
	for _, o := range ops {
		name := string(o.op) + " " + strings.Join(o.values, "|")
		tests = append(tests,
			checkTest{name + " present", req(kv, "full", o.op, o.values...), o.present, opposite(o.present)},
			checkTest{name + " absent", req(kv, "none", o.op, o.values...), o.absent, opposite(o.absent)},
			checkTest{name + " unknown set", req("kernel.config", "x", o.op, o.values...), unknown, unknown},
			checkTest{name + " unknown element", req("cpu.cpuid", "AMX", o.op, o.values...), unknown, unknown},
			checkTest{name + " set without collector", req("gpu.card", "x", o.op, o.values...), unknown, unknown},
			checkTest{name + " list without collector", req("network.device", "x", o.op, o.values...), unknown, unknown},
		)
	}
	tests = append(tests,
		checkTest{"flag there", req("cpu.cpuid", "AVX", compat.Exists), fits, unfit},
		checkTest{"flag not there", req("cpu.cpuid", "AVX2", compat.Exists), unfit, fits},
		checkTest{"flag of an empty set", req("kernel.loadedmodule", "kvm", compat.Exists), unfit, fits},
		checkTest{"attribute of an empty set", req("cpu.archspec", "x86_64_v3", compat.Exists), unfit, fits},
		checkTest{"a flag has no value", req("cpu.cpuid", "AVX", compat.In, "true"), unfit, fits},
		checkTest{"true is true", req(se, "enabled", compat.IsTrue), fits, unfit},
		checkTest{"true is not false", req(se, "enabled", compat.IsFalse), unfit, fits},
		checkTest{"false is false", req(se, "off", compat.IsFalse), fits, unfit},
		checkTest{"false is not true", req(se, "off", compat.IsTrue), unfit, fits},
		checkTest{"perhaps is not true", req(se, "maybe", compat.IsTrue), unfit, fits},
		checkTest{"perhaps is not false", req(se, "maybe", compat.IsFalse), unfit, fits},
		checkTest{"garbage is no number", req(kv, "odd", compat.Ge, "1"), unknown, unknown},
		checkTest{"negative below zero", req(kv, "negative", compat.Ge, "0"), unfit, fits},
		checkTest{"negative", req(kv, "negative", compat.Gt, "-2"), fits, unfit},
		checkTest{"negative against a version", req(kv, "full", compat.Ge, "-2"), unknown, unknown},
		checkTest{"number", req("cpu.x86_64", "level", compat.Ge, "2"), fits, unfit},
	)
	runChecks(t, tests)
}

// A list of devices fits when one device has it all.
func TestOneInstanceMustMeetAllTerms(t *testing.T) {
	t.Parallel()
	pci := func(terms ...compat.Term) compat.Requirement {
		return compat.Requirement{Key: "g/k", Set: "pci.device", Terms: terms}
	}
	runChecks(t, []checkTest{
		{"on one device", pci(term("vendor", compat.In, "10de"), term("class", compat.In, "0200")), fits, unfit},
		{"spread over two devices", pci(term("vendor", compat.In, "10de"), term("class", compat.In, "0300")), unfit, fits},
		{"on none", pci(term("vendor", compat.In, "8086")), unfit, fits},
		{"on the second", pci(term("class", compat.In, "0300")), fits, unfit},
		{"an element one of them lacks", pci(term("speed", compat.DoesNotExist)), fits, unfit},
		{"an element none of them has", pci(term("sriov_totalvfs", compat.Gt, "0")), unfit, fits},
		{"a value below zero", pci(term("numa_node", compat.Ge, "0")), unfit, fits},
		{"a value that cannot be compared", pci(term("speed", compat.Ge, "100")), unknown, unknown},
		{"such a value on a device that is out anyway", pci(term("speed", compat.Ge, "100"), term("vendor", compat.In, "10de")), unfit, fits},
		{"such a value beside a device that fits", pci(term("numa_node", compat.Lt, "x"), term("vendor", compat.In, "8086")), unfit, fits},
		{"an empty list", req("memory.nv", "name", compat.Exists), unfit, fits},
		{"an empty list has nothing that is absent", req("memory.nv", "name", compat.DoesNotExist), unfit, fits},
		{"a list that nobody could read", req("network.device", "sriov_totalvfs", compat.Gt, "0"), unknown, unknown},
	})
}

func TestAllTermsOfARequirementMustHold(t *testing.T) {
	t.Parallel()
	cpu := func(terms ...compat.Term) compat.Requirement {
		return compat.Requirement{Key: "g/k", Set: "cpu.cpuid", Terms: terms}
	}
	avx, sse, avx2, amx := term("AVX", compat.Exists), term("SSE42", compat.Exists), term("AVX2", compat.Exists), term("AMX", compat.Exists)
	runChecks(t, []checkTest{
		{"both", cpu(avx, sse), fits, unfit},
		{"one of two", cpu(avx, avx2), unfit, fits},
		{"one unknown", cpu(avx, amx), unknown, unknown},
		{"one unknown, one absent", cpu(amx, avx2), unfit, fits},
		{"none at all", cpu(), unknown, unknown},
		{"unclear", compat.Requirement{Key: "g/k", Unclear: "why"}, unknown, unknown},
		{"unclear and strict", compat.Requirement{Key: "g/k", Unclear: "why", Strict: true}, unfit, unfit},
	})
}

func runChecks(t *testing.T, tests []checkTest) {
	t.Helper()
	facts := testNode()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := selector.Evaluate(facts, []compat.Requirement{tt.req})
			if v.Outcome != tt.want || v.Checks[0].Outcome != tt.want {
				t.Errorf("got %s, want %s (%s)", v.Outcome, tt.want, v.Reason())
			}
			if got := selector.Evaluate(facts, []compat.Requirement{not(tt.req)}).Outcome; got != tt.wantNot {
				t.Errorf("with Not: got %s, want %s", got, tt.wantNot)
			}
		})
	}
}

func opposite(o selector.Outcome) selector.Outcome {
	return map[selector.Outcome]selector.Outcome{fits: unfit, unfit: fits, unknown: unknown}[o]
}

// What counts for the verdict, the score, the level and how much
// is met.
func TestEvaluateCombinesRequirementsByImportance(t *testing.T) {
	t.Parallel()
	has, hasNot := req("cpu.cpuid", "AVX", compat.Exists), req("cpu.cpuid", "AVX2", compat.Exists)
	amx := req("cpu.cpuid", "AMX", compat.Exists)
	with := func(r compat.Requirement, i compat.Importance, weight int) compat.Requirement {
		r.Importance, r.Weight = i, weight
		return r
	}
	tests := []struct {
		name              string
		reqs              []compat.Requirement
		want              selector.Outcome
		score, level, met int
	}{
		{"nothing asked", nil, fits, 0, 0, 0},
		{"all there", []compat.Requirement{has, has}, fits, 0, 3, 2},
		{"one missing", []compat.Requirement{has, hasNot, amx}, unfit, 0, 3, 1},
		{"missing before unknown", []compat.Requirement{hasNot, amx}, unfit, 0, 3, 0},
		{"one unknown", []compat.Requirement{has, amx}, unknown, 0, 3, 1},
		{"preferences count when they hold", []compat.Requirement{with(has, compat.Preferred, 3), with(has, compat.Preferred, 4)}, fits, 7, 0, 0},
		{"and refuse nothing when they do not", []compat.Requirement{with(hasNot, compat.Preferred, 3), with(amx, compat.Preferred, 4)}, fits, 0, 0, 0},
		{"informative counts for nothing", []compat.Requirement{with(hasNot, compat.Informative, 3), with(has, compat.Informative, 3)}, fits, 0, 0, 0},
		{"a required weight counts for nothing", []compat.Requirement{with(has, compat.Required, 5)}, fits, 0, 3, 1},
		{"level of a flag of level 4", []compat.Requirement{req("cpu.cpuid", "AVX512F", compat.Exists)}, unfit, 0, 4, 0},
		{"no level of a flag that must be missing", []compat.Requirement{req("cpu.cpuid", "AVX512F", compat.DoesNotExist), not(req("cpu.cpuid", "AVX512F", compat.Exists))}, fits, 0, 0, 2},
		{"level of a target", []compat.Requirement{req("cpu.archspec", "x86_64_v3", compat.Exists)}, unfit, 0, 3, 0},
		{"base of another architecture", []compat.Requirement{req("cpu.archspec", "aarch64", compat.Exists)}, unfit, 0, 1, 0},
		{"level of a platform", []compat.Requirement{req("cpu.x86_64", "level", compat.Ge, "2")}, fits, 0, 2, 1},
		{"level of something else", []compat.Requirement{req("kernel.version", "level", compat.Ge, "9")}, unfit, 0, 0, 0},
		{"no level of what is unclear", []compat.Requirement{{Set: "cpu.cpuid", Unclear: "x", Terms: []compat.Term{term("AVX", compat.Exists)}}}, unknown, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := selector.Evaluate(testNode(), tt.reqs)
			if v.Outcome != tt.want || v.Score != tt.score || v.Closeness != closenessOfLevel(tt.level) || v.Met != tt.met {
				t.Errorf("got %s, score %d, level %d, met %d; want %s, %d, %d, %d",
					v.Outcome, v.Score, v.Closeness, v.Met, tt.want, tt.score, closenessOfLevel(tt.level), tt.met)
			}
			if len(v.Checks) != len(tt.reqs) {
				t.Errorf("%d checks of %d requirements", len(v.Checks), len(tt.reqs))
			}
		})
	}
}

// The sentences that pods show.
func TestReasonNamesWantAndHave(t *testing.T) {
	t.Parallel()
	informative := req("cpu.cpuid", "AVX2", compat.Exists)
	informative.Importance = compat.Informative
	many := make([]compat.Requirement, 11)
	for i := range many {
		many[i] = req("cpu.cpuid", "F"+string(rune('A'+i)), compat.Exists)
	}
	tests := []struct {
		name string
		reqs []compat.Requirement
		want string
	}{
		{"fits", []compat.Requirement{req("cpu.cpuid", "AVX", compat.Exists)}, ""},
		{"absent", []compat.Requirement{req("cpu.cpuid", "AVX2", compat.Exists)}, "needs cpu.cpuid AVX2 (absent)"},
		{"present", []compat.Requirement{req("cpu.cpuid", "AVX", compat.DoesNotExist)}, "needs cpu.cpuid without AVX (present)"},
		{"a value", []compat.Requirement{req("kernel.version", "full", compat.Ge, "6.8")}, "needs kernel.version >= 6.8 (is 6.1.0-13-amd64)"},
		{"a level", []compat.Requirement{req("cpu.x86_64", "level", compat.Ge, "3")}, "needs cpu.x86_64 level >= 3 (is 2)"},
		{"a bool", []compat.Requirement{req("kernel.selinux", "enabled", compat.IsFalse)}, "needs kernel.selinux enabled=false (is true)"},
		{"unknown element", []compat.Requirement{req("cpu.cpuid", "AMX", compat.Exists)}, "needs cpu.cpuid AMX (unknown: no such file)"},
		{"unknown set", []compat.Requirement{req("kernel.config", "HZ", compat.In, "1000")}, "needs kernel.config HZ=1000 (unknown: permission denied)"},
		{"nobody looks", []compat.Requirement{req("gpu.card", "x", compat.Exists)}, "needs gpu.card x (unknown: no collector for gpu.card)"},
		{"unclear", []compat.Requirement{{Key: "mpi/version", Unclear: "no compatibility spec knows this attribute"}}, "needs mpi/version (unknown: no compatibility spec knows this attribute)"},
		{"no comparison", []compat.Requirement{req("kernel.version", "odd", compat.Ge, "1")}, `needs kernel.version odd >= 1 (unknown: it cannot be compared with "garbage")`},
		{"no device", []compat.Requirement{req("memory.nv", "name", compat.Exists)}, "needs memory.nv name (none found)"},
		{"a device", []compat.Requirement{not(req("pci.device", "vendor", compat.In, "10de"))}, "needs no pci.device vendor=10de (found)"},
		{"a device without comparison", []compat.Requirement{req("pci.device", "speed", compat.Ge, "1")}, "needs pci.device speed >= 1 (unknown: a value of a device cannot be compared)"},
		{"no list", []compat.Requirement{req("network.device", "x", compat.Exists)}, "needs network.device x (unknown: not a folder)"},
		{"nothing said", []compat.Requirement{{Key: "g/k", Set: "s"}}, "needs s  (unknown: it states no condition)"},
		{"two", []compat.Requirement{req("cpu.cpuid", "AVX2", compat.Exists), req("kernel.version", "full", compat.Ge, "6.8")},
			"needs cpu.cpuid AVX2 (absent), kernel.version >= 6.8 (is 6.1.0-13-amd64)"},
		{"what fails hides what is unknown", []compat.Requirement{req("cpu.cpuid", "AMX", compat.Exists), req("cpu.cpuid", "AVX2", compat.Exists)},
			"needs cpu.cpuid AVX2 (absent)"},
		{"what is only informative is not named", []compat.Requirement{informative, req("cpu.cpuid", "AMX", compat.Exists)},
			"needs cpu.cpuid AMX (unknown: no such file)"},
		{"the term that fails", []compat.Requirement{{Set: "kernel.version", Terms: []compat.Term{
			term("none", compat.DoesNotExist), term("full", compat.Ge, "6.8"), term("odd", compat.Ge, "1"),
		}}}, "needs kernel.version >= 6.8 (is 6.1.0-13-amd64)"},
		{"many", many, "needs cpu.cpuid FA (absent), cpu.cpuid FB (absent), cpu.cpuid FC (absent), cpu.cpuid FD (absent), " +
			"cpu.cpuid FE (absent), cpu.cpuid FF (absent), cpu.cpuid FG (absent), cpu.cpuid FH (absent), and 3 more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := selector.Evaluate(testNode(), tt.reqs)
			if got := v.Reason(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if (len(v.Deciding()) == 0) != (v.Outcome == fits) {
				t.Errorf("%s, but %d checks decide", v.Outcome, len(v.Deciding()))
			}
		})
	}
}

func TestOutcomesReadAsUsersSeeThem(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[selector.Outcome]string{unknown: "unknown", unfit: "does not fit", fits: "fits", 9: "fits"} {
		if got := outcome.String(); got != want {
			t.Errorf("outcome %d is %q, want %q", outcome, got, want)
		}
	}
}
