package spec_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// asked is what "group/key=value" attributes ask for, as one line.
func asked(t *testing.T, in *spec.Interpreter, attributes ...string) string {
	t.Helper()
	return compattest.DescribeAll(in.Requirements(attributesFrom(t, attributes)))
}

func attributesFrom(t *testing.T, texts []string) []compat.Attribute {
	t.Helper()
	attributes := make([]compat.Attribute, len(texts))
	for i, text := range texts {
		group, rest, ok := strings.Cut(text, "/")
		key, value, ok2 := strings.Cut(rest, "=")
		if !ok || !ok2 {
			t.Fatal(text)
		}
		attributes[i] = compat.Attribute{Group: group, Key: key, Value: value, Kind: compattest.KindOf(value)}
	}
	return attributes
}

// TestEachTypeWithEachMatch: each type with each match.
func TestEachTypeWithEachMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines []string
		value string
		want  string
	}{
		{"bool equal", []string{`type="bool"`, `match="equal"`}, "true", "f e=true | required"},
		{"bool equal, false", []string{`type="bool"`, `match="equal"`}, "false", "f e=false | required"},
		{"bool exists", []string{`type="bool"`, `match="exists"`}, "true", "f e | required"},
		{"bool exists, false", []string{`type="bool"`, `match="exists"`}, "false", "f without e | required"},
		{"bool with an alias", []string{`type="bool"`, `match="exists"`, `aliases={yes="true"}`}, "YES", "f e | required"},
		{"false asks for nothing", []string{`type="bool"`, `match="exists"`, `if_false="nothing"`}, "false", "f e | informative"},
		{"bool nonsense", []string{`type="bool"`, `match="equal"`}, "maybe", `g/n | required | unclear: "maybe" is neither true nor false`},
		{"int equal", []string{`type="int"`, `match="equal"`}, "6", "f e=6 | required"},
		{"int at least", []string{`type="int"`, `match="at-least"`}, "6", "f e >= 6 | required"},
		{"int at most", []string{`type="int"`, `match="at-most"`}, "6", "f e <= 6 | required"},
		{"int in a range", []string{`type="int"`, `match="range"`}, "[2, 4]", "f e >= 2 and e <= 4 | required"},
		{"int nonsense", []string{`type="int"`, `match="equal"`}, "six", `g/n | required | unclear: "six" is not a number`},
		{"version equal", []string{`type="version"`, `match="equal"`}, "8", "f e >= 8 and e <= 8 | required"},
		{"version at least", []string{`type="version"`, `match="at-least"`}, "6.8", "f e >= 6.8 | required"},
		{"version nonsense", []string{`type="version"`, `match="at-least"`}, "new", `g/n | required | unclear: "new" is not a version`},
		{"range", []string{`type="version"`, `match="range"`}, "[4.19, 5.16)", "f e >= 4.19 and e < 5.16 | required"},
		{"range, open", []string{`type="version"`, `match="range"`}, "(4.19,)", "f e > 4.19 | required"},
		{"range to", []string{`type="version"`, `match="range"`}, "[,5.16]", "f e <= 5.16 | required"},
		{"two ranges", []string{`type="version"`, `match="range"`}, "[4.19, 5.4), [6.1,6.8]", "one of: f e >= 4.19 and e < 5.4; f e >= 6.1 and e <= 6.8 | required"},
		{"range as comparisons", []string{`type="version"`, `match="range"`}, ">=2.31, <=2.37", "f e >= 2.31 and e <= 2.37 | required"},
		{"range as a bare version", []string{`type="version"`, `match="range"`}, "5.10", "f e >= 5.10 | required"},
		{"range of one version", []string{`type="version"`, `match="range"`}, "=5.10", "f e >= 5.10 and e <= 5.10 | required"},
		{"range turned round", []string{`type="version"`, `match="range"`}, "[5, 4]", `g/n | required | unclear: "[5, 4]" ends before it begins`},
		{"range of nothing", []string{`type="version"`, `match="range"`}, "", `g/n | required | unclear: "" is not a version`},
		{"range without an end", []string{`type="version"`, `match="range"`}, "[4.19", `g/n | required | unclear: "[4.19" is not a range such as [4.19, 5.16)`},
		{"range of words", []string{`type="version"`, `match="range"`}, "[a, b]", `g/n | required | unclear: "a" is not a version`},
		{"range with more behind", []string{`type="version"`, `match="range"`}, "4.19 or 5", `g/n | required | unclear: "4.19 or 5" is not a version`},
		{"range of an odd sign", []string{`type="version"`, `match="range"`}, "=>4", `g/n | required | unclear: "=>4" is not a comparison`},
		{"range with a condition", []string{`type="version"`, `match="range"`, `where=[{element="w", op="In", values=["x"]}]`}, "[1,2]", "f w=x and e >= 1 and e <= 2 | required"},
		{"string equal", []string{`type="string"`, `match="equal"`, `aliases={GenuineIntel="Intel"}`}, "GenuineIntel", "f e=Intel | required"},
		{"string, another value", []string{`type="string"`, `match="equal"`, `values=["a","b"]`}, "c", `g/n | required | unclear: "c" is not one of a, b`},
		{"string, folded and trimmed", []string{`type="string"`, `match="equal"`, `fold="lower"`, `trim="0x"`}, "0x10DE", "f e=10de | required"},
		{"option", []string{`type="string"`, `match="option"`}, "true", "f e=y|m | required"},
		{"option, off", []string{`type="string"`, `match="option"`}, "n", "no f e=y|m | required"},
		{"option with a value", []string{`type="string"`, `match="option"`}, "1000", "f e=1000 | required"},
		{"preferred", []string{`type="string"`, `match="equal"`, `importance="preferred"`, `weight=3`}, "x", "f e=x | preferred 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := spec.NewInterpreter([]spec.Spec{specWith(t, `groups=["g"]`, append(tt.lines, `fact="f"`, `element="e"`)...)})
			if got := asked(t, in, "g/n="+tt.value); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestEmbeddedSpecsMeanWhatTheyShould(t *testing.T) {
	t.Parallel()
	in := testkit.Interpreter(t)
	const sc = "org.supercontainers/"
	tests := []struct {
		name       string
		attributes []string
		want       string
	}{
		{"list of flags", []string{"oci/oci.cpu.features=avx2, AVX512FP16,"}, "cpu.cpuid AVX2 and AVX512FP16 | required"},
		{"list of nothing", []string{"oci/oci.cpu.features=,"}, `oci/oci.cpu.features | required | unclear: "," lists nothing`},
		{"list of options", []string{"oci/oci.kernel.configurations=PREEMPT,CONFIG_KVM"}, "kernel.config PREEMPT=y|m and KVM=y|m | required"},
		{"list of devices", []string{"oci/oci.pci.devices=15B3.020D,1002.67ff"}, "pci.device vendor=15b3 and device=020d and pci.device vendor=1002 and device=67ff | required"},
		{"list of one device", []string{"oci/oci.pci.devices=15B3.020D,"}, "pci.device vendor=15b3 and device=020d | required"},
		{"device without a vendor", []string{"oci/oci.pci.devices=020D"}, `oci/oci.pci.devices | required | unclear: "020d" is not written vendor.device`},
		{"vendor", []string{"oci/oci.cpu.vendor=AuthenticAMD"}, "cpu.model vendor_id=AMD | required"},
		{"selinux", []string{"oci/oci.kernel.selinux=false"}, "kernel.selinux enabled=false | required"},
		{"glibc", []string{"oci/oci.os.glibc=[2.31, 2.37]"}, "system.libc implementation=glibc and version >= 2.31 and version <= 2.37 | required"},
		{"Open MPI", []string{"oci/oci.os.openmpi=[4.1.6, 4.1.6]"}, "mpi.host implementation=openmpi and version >= 4.1.6 and version <= 4.1.6 | required"},
		{"one device", []string{"org.opencontainers/hardware.pci.class-id=0380", "org.opencontainers/hardware.pci.vendor-id=0x10DE"}, "pci.device class=0380 and vendor=10de | required"},
		{"virtualization", []string{"org.opencontainers/hardware.cpu.virtualization=VT-x"}, "cpu.cpuid VMX | required"},
		{"virtualization of its own", []string{"org.opencontainers/hardware.cpu.virtualization=Z"}, `org.opencontainers/hardware.cpu.virtualization | required | unclear: "Z" is not one of VMX, SVM`},
		{"kernel of Proposal B", []string{"org.opencontainers/kernel.configuration.CONFIG_DRM_NOUVEAU=n", "org.opencontainers/kernel.cmdline.intel_iommu=on", "org.opencontainers/kernel.modules.vfio=true"}, "no kernel.config DRM_NOUVEAU=y|m | required; kernel.cmdline intel_iommu=on | required; kernel.enabledmodule vfio | required"},
		{"CPU of the build host", []string{"io.archspec/cpu.model=13th Gen Intel(R) Core(TM) i5-1335U", "io.archspec/cpu.vendor=GenuineIntel"}, "io.archspec/cpu.model | informative | unclear: it is a note of the author; no fact of a node is compared with it; cpu.model vendor_id=Intel | preferred 1"},
		{"OS by its C library", []string{sc + "os.vendor=Rocky", sc + "os.version=8.9"}, "system.libc version <= 2.28 | preferred 1"},
		{"OS of an unknown vendor", []string{sc + "os.vendor=slackware", sc + "os.version=15"}, "org.supercontainers/os.vendor org.supercontainers/os.version | informative | unclear: a container brings its own operating system"},
		{"OS without a version", []string{"os/vendor=rocky"}, "os/vendor | informative | unclear: a container brings its own operating system"},
		{"MPI version alone", []string{"mpi/version=4.1"}, "mpi/version | required | unclear: a version says nothing without the implementation"},
		{"MPI twice", []string{sc + "mpi.implementation=mpich", sc + "mpi.variant=openmpi"}, "org.supercontainers/mpi.implementation org.supercontainers/mpi.variant | required | unclear: it is given more than once"},
		{"MPI of no version", []string{"mpi/implementation=mpich", "mpi/version=new"}, `mpi/implementation mpi/version | required | unclear: "new" is not a version`},
		{"Open MPI by major", []string{"mpi/implementation=OpenMPI", "mpi/version=4.1.2"}, "one of: mpi.host implementation=openmpi and version >= 4.1 and version < 5; mpi.host without implementation | required"},
		{"MPI of no family", []string{"mpi/implementation=lam", "mpi/version=7"}, "one of: mpi.host implementation=lam and version >= 7 and version < 8; mpi.host without implementation | required"},
		{"MPICH before the ABI", []string{"mpi/implementation=mpich2", "mpi/version=1.4"}, "one of: mpi.host implementation=mpich and version >= 1.4 and version < 2; mpi.host without implementation | required"},
		{"image without GPU support", []string{sc + "hardware.gpu.available=no", sc + "hardware.gpu.cuda.version=12.0"}, "gpu.device vendor | informative; gpu.nvidia cuda_version >= 12.0 | informative"},
		{"GPU", []string{"gpu/enabled=true"}, "gpu.device vendor | required"},
		{"GPU with details", []string{sc + "hardware.gpu.cuda.version=12.0", sc + "hardware.gpu.available=yes"}, "gpu.device vendor and gpu.nvidia cuda_version >= 12.0 | required"},
		{"GPU by its details", []string{sc + "hardware.gpu.cuda.version=12.0"}, "gpu.device vendor and gpu.nvidia cuda_version >= 12.0 | required"},
		{"GPU, only preferred", []string{sc + "hardware.gpu.architecture=Hopper"}, "gpu.device vendor and gpu.device architecture=hopper | required"},
		{"keys of ocifit", []string{"compspec/compspec.architecture=amd64", "compspec/compspec.gpu=false", "compspec/compspec.low_latency_networking=true"}, "cpu.archspec x86_64 | required; gpu.device vendor | informative; rdma.device name | preferred 1"},
		{"os feature", []string{"os.features/cuda12=true"}, "gpu.nvidia cuda_version >= 12 | required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := asked(t, in, tt.attributes...); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestMPIFitsWhereItCanReplaceTheImages holds images against nodes: which MPI can stand in for which.
func TestMPIFitsWhereItCanReplaceTheImages(t *testing.T) {
	t.Parallel()
	in := testkit.Interpreter(t)
	tests := []struct{ image, node, want string }{
		{"openmpi 4.1.6", "openmpi 4.1.6", "fits"},
		{"openmpi 4.1.6", "openmpi 4.1.2", "fits"},
		{"openmpi 4.1.6", "openmpi 4.2.0", "fits"},
		{"openmpi 4.1.6", "openmpi 4.0.3", "does not fit"},
		{"openmpi 4.1.6", "openmpi 5.0.0", "does not fit"},
		{"openmpi 4.1.6", "mpich 4.1.1", "does not fit"},
		{"OpenMPI 4", "openmpi 4.0.0", "fits"},
		{"mpich 4.1.1", "mpich 3.4.3", "fits"},
		{"mpich 4.1.1", "intel-mpi 2021.8", "fits"},
		{"mpich 4.1.1", "mvapich2 2.3.7", "fits"},
		{"mpich 4.1.1", "cray-mpich 8.1.27", "fits"},
		{"mpich 4.1.1", "mpich 1.5", "does not fit"},
		{"intel-mpi 2021.8", "mpich 4.1.1", "fits"},
		{"intel-mpi 2021.8", "openmpi 4.1.6", "does not fit"},
		{"mpich 1.5", "mpich 4.1.1", "does not fit"},
		{"openmpi 4.1.6", "", "fits"},
		{"openmpi 4.1.6", "?", "unknown"},
		{"openmpi 4.1.6", "openmpi ?", "unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.image+" on "+tt.node, func(t *testing.T) {
			t.Parallel()
			name, version, _ := strings.Cut(tt.image, " ")
			reqs := in.Requirements(attributesFrom(t, []string{"mpi/implementation=" + name, "mpi/version=" + version}))
			got := selector.Evaluate(mpiHost(tt.node), reqs).Outcome.String()
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func mpiHost(mpi string) *facts.Facts {
	features := facts.Features{Attributes: map[string]map[string]string{"mpi.host": {}}, Unknown: map[string]string{}}
	name, version, _ := strings.Cut(mpi, " ")
	switch {
	case mpi == "":
	case name == "?":
		features.Attributes, features.Unknown = nil, map[string]string{"mpi.host": "nobody looked"}
	case version == "?":
		features.Attributes["mpi.host"]["implementation"] = name
		features.Unknown["mpi.host/version"] = "the library does not tell it"
	default:
		features.Attributes["mpi.host"] = map[string]string{"implementation": name, "version": version}
	}
	return facts.New("linux", "amd64", features)
}

// TestPreconditionDecidesOverWhatIsBelow: where a node that decides over others does not hold, the others
// are not compared.
func TestPreconditionDecidesOverWhatIsBelow(t *testing.T) {
	t.Parallel()
	attributes := attributesFrom(t, []string{
		"org.supercontainers/hardware.gpu.available=yes",
		"org.supercontainers/hardware.gpu.cuda.version=12.0",
		"org.supercontainers/hardware.gpu.driver.version=525",
	})
	reqs := testkit.Interpreter(t).Requirements(attributes)
	if len(reqs) != 1 || len(reqs[0].Parts) != 3 {
		t.Fatalf("got %s", compattest.DescribeAll(reqs))
	}
	v := selector.Evaluate(compattest.Cloud(), reqs)
	if v.Outcome != selector.Unfit || v.Checks[0].Parts[1].Outcome != selector.Unknown || v.Reason() != "needs gpu.device vendor (none found)" {
		t.Errorf("%s, the next part %s: %s", v.Outcome, v.Checks[0].Parts[1].Outcome, v.Reason())
	}
	if v := selector.Evaluate(compattest.HPC(), reqs); v.Outcome != selector.Fits || v.Checks[0].Parts[2].Outcome != selector.Fits {
		t.Errorf("%s: %s", v.Outcome, v.Reason())
	}
}
