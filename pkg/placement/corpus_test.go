package placement_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/pkg/decision"
)

// conditions are what images of a corpus require, in the words of NFD: of what every
// class has, of what one has only on request, and of what no class could have.
func conditions() map[string][]string {
	return map[string][]string{
		"cpu.cpuid":            {"matchExpressions: {AVX2: {op: Exists}}", "matchExpressions: {AVX512F: {op: Exists}}", "matchExpressions: {ASIMD: {op: Exists}}", "matchName: {op: InRegexp, value: [\"^AMX\"]}"},
		"cpu.model":            {"matchExpressions: {vendor_id: {op: In, value: [Intel, ARM]}}", "matchExpressions: {family: {op: Gt, value: [\"6\"]}}"},
		"cpu.archspec":         {"matchExpressions: {zen3: {op: Exists}}", "matchExpressions: {x86_64_v4: {op: Exists}}"},
		"kernel.version":       {"matchExpressions: {major: {op: Gt, value: [\"5\"]}}", "matchExpressions: {minor: {op: Lt, value: [\"10\"]}}"},
		"kernel.loadedmodule":  {"matchExpressions: {noise_3: {op: Exists}}", "matchExpressions: {nvidia: {op: Exists}}", "matchExpressions: {noise_4: {op: DoesNotExist}}"},
		"kernel.enabledmodule": {"matchName: {op: InRegexp, value: [\"^noise_1\"]}"},
		"kernel.config":        {"matchExpressions: {PREEMPT: {op: In, value: [\"y\"]}}"},
		"kernel.sysctl":        {"matchExpressions: {vm.max_map_count: {op: Gt, value: [\"0\"]}}"},
		"memory.hugepages":     {"matchExpressions: {hugepages-2Mi: {op: Gt, value: [\"2\"]}}"},
		"system.osrelease":     {"matchExpressions: {ID: {op: In, value: [rocky, ubuntu]}}", "matchExpressions: {BUILD_ID: {op: Lt, value: [\"50\"]}}"},
		"system.dmiid":         {"matchExpressions: {bios_version: {op: NotIn, value: [\"3\"]}}"},
		"pci.device":           {"matchExpressions: {vendor: {op: In, value: [10de]}}", "matchExpressions: {vendor: {op: In, value: [15b3, \"8086\"]}, class: {op: In, value: [\"0207\", \"0200\"]}}", "matchExpressions: {vendor: {op: Exists}, subsystem_device: {op: Lt, value: [\"40\"]}}"},
		"network.device":       {"matchExpressions: {operstate: {op: In, value: [\"1\"]}, speed: {op: Gt, value: [\"1\"]}}", "matchExpressions: {mtu: {op: Exists}}"},
		"storage.block":        {"matchExpressions: {rotational: {op: In, value: [\"0\"]}}"},
		"usb.device":           {"matchName: {op: In, value: [serial]}", "matchExpressions: {vendor: {op: In, value: [\"2\"]}, device: {op: In, value: [\"3\"]}}"},
		"gpu.nvidia":           {"matchExpressions: {count: {op: Gt, value: [\"0\"]}}", "matchExpressions: {cuda_version: {op: Gt, value: [\"12.3\"]}}"},
		"gpu.device":           {"matchExpressions: {vendor: {op: In, value: [nvidia]}, address: {op: InRegexp, value: [\"^0000:[0-7]\"]}}"},
		"site.thing":           {"matchExpressions: {x: {op: Exists}}"},
	}
}

// randomSpec is a compatibility spec of NFD's with a few of the conditions.
func randomSpec(r *rand.Rand, sets []string, known map[string][]string) string {
	var b strings.Builder
	b.WriteString("version: v1alpha1\ncompatibilities:\n")
	for range 1 + r.IntN(2) {
		fmt.Fprintf(&b, "- weight: %d\n  rules:\n", 1+r.IntN(50))
		for rule := range 1 + r.IntN(2) {
			fmt.Fprintf(&b, "  - name: r%d\n    matchFeatures:\n", rule)
			for range 1 + r.IntN(2) {
				set := sets[r.IntN(len(sets))]
				fmt.Fprintf(&b, "    - feature: %s\n      %s\n", set, known[set][r.IntN(len(known[set]))])
			}
		}
	}
	return b.String()
}

// corpus returns random images of up to four variants.
func corpus(t testing.TB, r *rand.Rand, images, specs int, sets ...string) []*decision.Needs {
	t.Helper()
	known := conditions()
	if len(sets) == 0 {
		for set := range known {
			sets = append(sets, set)
		}
	}
	bodies := make([]string, specs)
	for i := range bodies {
		bodies[i] = randomSpec(r, sets, known)
		if i%4 == 0 {
			bodies[i] = compattest.ProposalF("io.kubernetes.nfd", fmt.Sprintf(`"cpu-cpuid.AVX2": true, "kernel-version.major": "%d"`, 4+i%3))
		}
	}
	all := make([]*decision.Needs, images)
	for i := range all {
		var variants []decisiontest.Variant
		for v := range 1 + r.IntN(4) {
			variant := decisiontest.Variant{OS: "linux", Architecture: "amd64", Body: bodies[r.IntN(len(bodies))]}
			switch kind := r.IntN(9); {
			case v == 0:
				variant.Body = []string{"", variant.Body}[r.IntN(2)]
			case kind < 3:
				variant.Architecture = "arm64"
			case kind < 5:
				variant.Level, variant.Body = fmt.Sprint("v", 2+r.IntN(3)), ""
			}
			variants = append(variants, variant)
		}
		all[i] = decisiontest.Needs(t, fmt.Sprintf("registry.example/app-%d:1", i), variants...)
	}
	return all
}
