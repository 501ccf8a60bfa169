package hostfacts

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/internal/testkit/hosttest"
	"github.com/imagefit/imagefit/pkg/facts"
)

func capturedHosts(t testing.TB) map[string]Root {
	t.Helper()
	roots := map[string]Root{}
	for name, dir := range hosttest.Captured(t, "testdata") {
		roots[name] = NewRoot(dir)
	}
	return roots
}

func hostIn(t testing.TB, file string) Root {
	t.Helper()
	return NewRoot(hosttest.Host(t, file))
}

// TestFactsAndLabelsOfHostsAreGolden holds the facts and the labels of whole hosts.
func TestFactsAndLabelsOfHostsAreGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/hosts/*.txt")
	if err != nil || len(files) < 7 {
		t.Fatal("hosts are missing", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			root := hostIn(t, file)
			known := Collect(context.Background(), root)
			base := strings.TrimSuffix(file, ".txt")
			data, err := json.MarshalIndent(known, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(data), root.Dir()+"/", "/") // causes name the directory
			golden.Equal(t, base+".json", text+"\n")
			golden.Equal(t, base+".labels", labelLines(known))
			back, err := Parse(strings.NewReader(text))
			if err != nil || back.Fingerprint() != known.Fingerprint() || !maps.Equal(back.Labels(), known.Labels()) {
				t.Errorf("read back: %v, %v", err, facts.Diff(known, back))
			}
		})
	}
}

func labelLines(facts *facts.Facts) string {
	var b strings.Builder
	labels := facts.Labels()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(name + "=" + labels[name] + "\n")
	}
	return b.String()
}

// TestHostsHaveTheirKnownFacts: goldens are easily updated, these are not.
func TestHostsHaveTheirKnownFacts(t *testing.T) {
	t.Parallel()
	type look struct{ set, element, want string } // want is a value, or a state
	for name, looks := range map[string][]look{
		"laptop-alderlake": {
			{"cpu.archspec", "alderlake", "present"}, {"cpu.x86_64", "level", "3"}, {"cpu.cpuid", "AVX512F", "absent"},
			{"cpu.topology", "hardware_multithreading", "true"}, {"cpu.topology", "socket_count", "1"},
			{"cpu.model", "hypervisor", "none"}, {"memory.swap", "enabled", "true"}, {"kernel.config", "PREEMPT_RT", "absent"},
			{"system.osrelease", "VERSION_ID", "24.04"}, {"cpu.pstate", "scaling_governor", "powersave"}, {"gpu.nvidia", "count", "0"},
		},
		"amd-genoa": {
			{"cpu.archspec", "zen4", "present"}, {"cpu.x86_64", "level", "4"}, {"cpu.topology", "socket_count", "2"},
			{"memory.numa", "node_count", "2"}, {"kernel.version", "major", "5"}, {"kernel.selinux", "enabled", "true"},
			{"rdma.fabric", "infiniband", "present"}, {"kernel.cmdline", "root", "unknown"}, {"cpu.model", "vendor_id", "AMD"},
		},
		"arm64-graviton4": {
			{"cpu.archspec", "neoverse_v2", "present"}, {"cpu.cpuid", "SVE2", "present"}, {"cpu.cpuid", "AVX2", "absent"},
			{"rdma.fabric", "efa", "present"}, {"system.osrelease", "ID", "amzn"}, {"cpu.x86_64", "level", "absent"},
		},
		"vm-milan": {
			{"cpu.model", "hypervisor", "kvm"}, {"cpu.x86_64", "level", "3"}, {"memory.swap", "enabled", "false"},
		},
		"container-masked": {
			{"cpu.x86_64", "level", "4"}, {"cpu.topology", "socket_count", "unknown"}, {"memory.numa", "is_numa", "unknown"},
			{"kernel.config", "KVM", "unknown"}, {"kernel.enabledmodule", "overlay", "present"}, {"kernel.enabledmodule", "xfs", "unknown"},
			{"gpu.nvidia", "count", "unknown"}, {"cpu.model", "hypervisor", "unknown"},
		},
		"wsl2":                {{"kernel.version", "full", "6.6.87.2-microsoft-standard-WSL2"}, {"kernel.version", "revision", "87"}},
		"riscv64-visionfive2": {{"cpu.archspec", "u74mc", "present"}, {"cpu.cpuid", "AVX2", "unknown"}},
	} {
		facts := Collect(context.Background(), hostIn(t, "testdata/hosts/"+name+".txt"))
		for _, look := range looks {
			if got := facts.Lookup(look.set, look.element); got.Text() != look.want {
				t.Errorf("%s: %s %s is %q (%s), want %q", name, look.set, look.element, got.Text(), got.Cause, look.want)
			}
		}
	}
}

func TestEveryHostEqualsItselfAndNoOther(t *testing.T) {
	t.Parallel()
	collected := map[string]*facts.Facts{}
	for name, root := range capturedHosts(t) {
		collected[name] = Collect(context.Background(), root)
	}
	for a, known := range collected {
		for b, others := range collected {
			changes := facts.Diff(known, others)
			if a == b && len(changes) > 0 {
				t.Errorf("%s differs from itself: %v", a, changes)
			}
			if a != b && len(changes) == 0 {
				t.Errorf("%s and %s do not differ", a, b)
			}
		}
	}
}
