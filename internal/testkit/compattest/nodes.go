package compattest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// Captured reads the facts of a captured node.
func Captured(t testing.TB, name string) *facts.Facts {
	t.Helper()
	_, own, _, _ := runtime.Caller(0)
	f, err := os.Open(filepath.Join(filepath.Dir(own), "../../../pkg/hostfacts/testdata/hosts", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	facts, err := hostfacts.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// CapturedNames are some of the captured nodes.
func CapturedNames() []string {
	return []string{"amd-genoa", "arm64-graviton4", "container-masked", "laptop-alderlake", "riscv64-visionfive2", "vm-milan", "wsl2"}
}

// GPU has two GPUs and an MPI.
func GPU() *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{"cpu.cpuid": {"AVX2", "X86_64_V1", "X86_64_V2", "X86_64_V3"}, "cpu.archspec": {"x86_64", "x86_64_v2", "x86_64_v3", "zen2"}},
		Attributes: map[string]map[string]string{
			"cpu.x86_64": {"level": "3"}, "cpu.model": {"vendor_id": "AMD", "family": "23", "id": "49"},
			"kernel.version": {"full": "5.14.0-427.el9.x86_64", "major": "5", "minor": "14", "revision": "0"},
			"system.libc":    {"implementation": "glibc", "version": "2.34"},
			"mpi.host":       {"implementation": "openmpi", "version": "4.1.6"},
			"gpu.nvidia":     {"count": "2", "cuda_version": "12.4"},
		},
		Instances: map[string][]map[string]string{"gpu.device": {{"vendor": "nvidia"}, {"vendor": "nvidia"}}},
	})
}
