package spec_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// TestLabelsOfNFDAreUnderstood says of every label that the embedded specs know what it asks
// for. A new rule without a case here fails TestEveryRuleIsTested.
func TestLabelsOfNFDAreUnderstood(t *testing.T) {
	t.Parallel()
	in := testkit.Interpreter(t)
	for _, tt := range labelTests() {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			t.Parallel()
			got := in.Requirements([]compat.Attribute{{Group: "nfd", Key: tt.key, Value: tt.value, Kind: compattest.KindOf(tt.value)}})
			if len(got) != 1 || compattest.Describe(got[0]) != tt.want {
				t.Errorf("got %s, want %s", compattest.DescribeAll(got), tt.want)
			}
		})
	}
}

type labelTest struct{ key, value, want string }

func labelTests() []labelTest {
	return []labelTest{
		{"cpu-cpuid.AVX2", "true", "cpu.cpuid AVX2 | required"},
		{"cpu-cpuid.AVX2", "false", "cpu.cpuid without AVX2 | required"},
		{"cpu-cpuid.AVX2", "yes", `nfd/cpu-cpuid.AVX2 | required | unclear: "yes" is neither true nor false`},
		{"cpu-cpuid.AVX2", "1", `nfd/cpu-cpuid.AVX2 | required | unclear: "1" is neither true nor false`},
		{"cpu.cpuid.AVX2", "true", "cpu.cpuid AVX2 | required"},
		{"feature.node.kubernetes.io/cpu-cpuid.AVX2", "true", "cpu.cpuid AVX2 | required"},
		{"cpu-model.vendor_id", "Intel", "cpu.model vendor_id=Intel | required"},
		{"cpu-model.family", "6", "cpu.model family=6 | required"},
		{"cpu-hardware_multithreading", "true", "cpu.topology hardware_multithreading=true | required"},
		{"cpu-hardware_multithreading", "false", "cpu.topology hardware_multithreading=false | required"},
		{"cpu-pstate.status", "passive", "cpu.pstate status=passive | preferred 1"},
		{"cpu-pstate.turbo", "true", "cpu.pstate turbo=true | preferred 1"},
		{"cpu-pstate.turbo", "false", "cpu.pstate turbo=false | preferred 1"},
		{"cpu-pstate.scaling_governor", "performance", "cpu.pstate scaling=performance | preferred 1"},
		{"kernel-selinux.enabled", "true", "kernel.selinux enabled=true | required"},
		{"kernel-selinux.enabled", "false", "kernel.selinux enabled=false | required"},
		{"kernel-version.major", "4", "kernel.version >= 4 | required"},
		{"kernel-version.minor", "4", "nfd/kernel-version.minor | required | unclear: a part of the version is missing before the last one given"},
		{"kernel-version.revision", "4", "nfd/kernel-version.revision | required | unclear: a part of the version is missing before the last one given"},
		{"kernel-version.major", "", `nfd/kernel-version.major | required | unclear: "" is not a whole number`},
		{"kernel-version.major", "4.18", `nfd/kernel-version.major | required | unclear: "4.18" is not a whole number`},
		{"kernel-version.major", "04", `nfd/kernel-version.major | required | unclear: "04" is not a whole number`},
		{"kernel-version.major", "true", `nfd/kernel-version.major | required | unclear: "true" is not a whole number`},
		{"kernel-version.major", "-4", `nfd/kernel-version.major | required | unclear: "-4" is not a whole number`},
		{"kernel-version.major", "1e400", `nfd/kernel-version.major | required | unclear: "1e400" is not a whole number`},
		{"kernel-version.major", "99999999999999999999", `nfd/kernel-version.major | required | unclear: "99999999999999999999" is not a whole number`},
		{"kernel-version.full", "6.8", "kernel.version >= 6.8 | required"},
		{"kernel-version.full", "5.14.0-427.el9", "kernel.version >= 5.14.0-427.el9 | required"},
		{"kernel.version.full", "6.10", "kernel.version >= 6.10 | required"},
		{"kernel-version.full", "1e400", `nfd/kernel-version.full | required | unclear: "1e400" is not a version`},
		{"kernel-version.full", "new", `nfd/kernel-version.full | required | unclear: "new" is not a version`},
		{"kernel-config.NO_HZ", "true", "kernel.config NO_HZ=y|m | required"},
		{"kernel-config.NO_HZ", "false", "no kernel.config NO_HZ=y|m | required"},
		{"kernel-config.HZ", "1000", "kernel.config HZ=1000 | required"},
		{"kernel-loadedmodule.nvidia", "true", "kernel.loadedmodule nvidia | required"},
		{"kernel.loadedmodule.nvidia", "false", "kernel.loadedmodule without nvidia | required"},
		{"kernel-enabledmodule.veth", "true", "kernel.enabledmodule veth | required"},
		{"kernel.enabledmodule.veth", "true", "kernel.enabledmodule veth | required"},
		{"memory-numa", "true", "memory.numa is_numa=true | required"},
		{"memory-numa", "false", "memory.numa is_numa=false | required"},
		{"memory-nv.present", "true", "memory.nv name | required"},
		{"memory-nv.present", "false", "no memory.nv name | required"},
		{"memory-nv.dax", "true", "memory.nv devtype=nd_dax | required"},
		{"network-sriov.capable", "true", "network.device sriov_totalvfs > 0 | required"},
		{"network-sriov.configured", "true", "network.device sriov_numvfs > 0 | required"},
		{"network-sriov.configured", "false", "no network.device sriov_numvfs > 0 | required"},
		{"cpu-cstate.enabled", "true", "cpu.cstate enabled=true | preferred 1"},
		{"cpu-power.sst_bf.enabled", "true", "cpu.sst bf.enabled=true | required"},
		{"cpu-rdt.RDTMON", "true", "cpu.rdt RDTMON=true | required"},
		{"cpu-rdt.RDTL3CA_NUM_CLOSID", "16", "cpu.rdt RDTL3CA_NUM_CLOSID >= 16 | required"},
		{"cpu-security.sgx.enabled", "true", "cpu.security sgx.enabled=true | required"},
		{"cpu-coprocessor.nx_gzip", "true", "cpu.coprocessor nx_gzip=true | required"},
		{"memory-swap", "false", "memory.swap enabled=false | required"},
		{"rdma.capable", "true", "pci.device vendor=15b3 | required"},
		{"custom-rdma.capable", "false", "no pci.device vendor=15b3 | required"},
		{"rdma.available", "true", "kernel.loadedmodule ib_uverbs and rdma_ucm | required"},
		{"custom-rdma.available", "true", "kernel.loadedmodule ib_uverbs and rdma_ucm | required"},
		{"pci-0302_10de.present", "true", "pci.device class=0302 and vendor=10de | required"},
		{"pci-10de.present", "true", "pci.device vendor=10de | required"},
		{"pci-0302_10de_20b5.present", "false", "no pci.device class=0302 and vendor=10de and device=20b5 | required"},
		{"pci-0302_10de_20b5_1.present", "true", `nfd/pci-0302_10de_20b5_1.present | required | unclear: "0302_10de_20b5_1" is not written vendor or class_vendor or class_vendor_device`},
		{"pci-0200_8086.sriov.capable", "true", "pci.device class=0200 and vendor=8086 and sriov_totalvfs > 0 | required"},
		{"usb-0e_046d_08e5.present", "true", "usb.device class=0e and vendor=046d and device=08e5 | required"},
		{"storage-nonrotationaldisk", "true", "storage.block rotational=0 | required"},
		{"kernel-config.KVM", "m", "kernel.config KVM=y|m | required"},
		{"kernel-config.KVM", "n", "no kernel.config KVM=y|m | required"},
		{"system-os_release.VERSION_ID", "22.04", "system.osrelease VERSION_ID=22.04 | required"},
		{"system-os_release.ID", "rocky", "system.osrelease ID=rocky | required"},
		{"cpu-cpuid.", "true", "nfd/cpu-cpuid. | required | unclear: no compatibility spec knows this attribute"},
		{"Memory-numa", "true", "nfd/Memory-numa | required | unclear: no compatibility spec knows this attribute"},
		{"gpu", "true", "nfd/gpu | required | unclear: no compatibility spec knows this attribute"},
		{"cpu.target", "x86-64-v3", "nfd/cpu.target | required | unclear: no compatibility spec knows this attribute"}, // not its group
	}
}

func TestEveryRuleIsTested(t *testing.T) {
	t.Parallel()
	specs := testkit.Specs(t)
	for _, spec := range specs {
		if spec.Name != "io.kubernetes.nfd" {
			continue
		}
		for _, node := range spec.Nodes {
			for _, key := range node.Keys {
				prefix, _, _ := strings.Cut(key, "*")
				tested := false
				for _, tt := range labelTests() {
					tested = tested || strings.HasPrefix(tt.key, prefix)
				}
				if !tested {
					t.Errorf("no test of the label %s", key)
				}
			}
		}
	}
}

func TestCPUTargetsAreKnownToArchspec(t *testing.T) {
	t.Parallel()
	in := testkit.Interpreter(t)
	tests := []struct{ group, key, name, want string }{
		{"io.archspec", "target", "x86_64_v3", "cpu.archspec x86_64_v3 | required"},
		{"io.archspec", "cpu.target", "x86_64_v3", "cpu.archspec x86_64_v3 | required"},
		{"cpu", "target", "x86_64_v3", "cpu.archspec x86_64_v3 | required"},
		{"io.archspec", "target", "amd64", "cpu.archspec x86_64 | required"},
		{"io.archspec", "target", "arm64", "cpu.archspec aarch64 | required"},
		{"io.archspec", "target", "x86-64", "cpu.archspec x86_64 | required"},
		{"io.archspec", "target", "x86-64-v2", "cpu.archspec x86_64_v2 | required"},
		{"io.archspec", "target", "x86-64-v3", "cpu.archspec x86_64_v3 | required"},
		{"io.archspec", "target", "x86-64-v4", "cpu.archspec x86_64_v4 | required"},
		{"io.archspec", "target", "icelake", "cpu.archspec icelake | required"},
		{"io.archspec", "target", "zen2", "cpu.archspec zen2 | required"},
		{"io.archspec", "io.archspec.cpu.target", "neoverse_v2", "cpu.archspec neoverse_v2 | required"},
		{"io.archspec", "target", "zen99", `io.archspec/target | required | unclear: the CPU target "zen99" is not known to this version`},
		{"io.archspec", "target", "", `io.archspec/target | required | unclear: the CPU target "" is not known to this version`},
		{"mpi", "target", "x86_64", "mpi/target | required | unclear: no compatibility spec knows this attribute"},
	}
	for _, tt := range tests {
		t.Run(tt.group+"/"+tt.key+"="+tt.name, func(t *testing.T) {
			t.Parallel()
			got := in.Requirements([]compat.Attribute{{Group: tt.group, Key: tt.key, Value: tt.name}})
			if len(got) != 1 || compattest.Describe(got[0]) != tt.want {
				t.Errorf("got %s, want %s", compattest.DescribeAll(got), tt.want)
			}
		})
	}
}

// TestPartsOfAVersionMakeOne: the parts of one version make one requirement, wherever
// they stand in the group.
func TestPartsOfAVersionMakeOne(t *testing.T) {
	t.Parallel()
	in := testkit.Interpreter(t)
	const prefix = "feature.node.kubernetes.io/"
	tests := []struct {
		name, body, want string
	}{
		{"two parts", `{"k":{"kernel-version.major":6,"kernel-version.minor":8}}`,
			"k/kernel-version.major k/kernel-version.minor: kernel.version >= 6.8 | required"},
		{"three, out of order, as strings, with others between",
			`{"k":{"kernel-version.revision":"3","memory-numa":true,"kernel-version.major":"6","kernel-version.minor":"8"}}`,
			"k/kernel-version.revision k/kernel-version.major k/kernel-version.minor: kernel.version >= 6.8.3 | required; " +
				"k/memory-numa: memory.numa is_numa=true | required"},
		{"zeros", `{"k":{"kernel-version.major":6,"kernel-version.minor":0}}`,
			"k/kernel-version.major k/kernel-version.minor: kernel.version >= 6.0 | required"},
		{"a hole", `{"k":{"kernel-version.major":6,"kernel-version.revision":3}}`,
			"k/kernel-version.major k/kernel-version.revision: k/kernel-version.major k/kernel-version.revision | required" +
				" | unclear: a part of the version is missing before the last one given"},
		{"a part twice", `{"k":{"kernel-version.major":4,"` + prefix + `kernel-version.major":6}}`,
			"k/kernel-version.major k/" + prefix + "kernel-version.major: k/kernel-version.major k/" + prefix +
				"kernel-version.major | required | unclear: a part of the version is given more than once"},
		{"each group for itself", `{"a":{"kernel-version.major":6},"b":{"kernel-version.major":5}}`,
			"a/kernel-version.major: kernel.version >= 6 | required; b/kernel-version.major: kernel.version >= 5 | required"},
		{"the whole beside the parts", `{"k":{"kernel-version.full":"5.1","kernel-version.major":6}}`,
			"k/kernel-version.full: kernel.version >= 5.1 | required; k/kernel-version.major: kernel.version >= 6 | required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			attributes, err := compattest.Attributes(t, []byte(`{"compatibilities":`+tt.body+`}`))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range in.Requirements(attributes) {
				got = append(got, r.Key+": "+compattest.Describe(r))
			}
			if s := strings.Join(got, "; "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

func TestFirstSpecThatKnowsDecides(t *testing.T) {
	t.Parallel()
	specs := []spec.Spec{
		specWith(t, `groups=["mpi"]`, `keys=["version"]`, `fact="site.mpi"`, `element="version"`, `type="version"`, `match="at-least"`, `importance="preferred"`, `weight=7`),
		specWith(t, `groups=["*"]`, `keys=["version","other"]`, `fact="site.any"`, `element="v"`, `type="string"`, `match="equal"`, `importance="informative"`),
	}
	in := spec.NewInterpreter(specs)
	got := in.Requirements([]compat.Attribute{
		{Group: "mpi", Key: "version", Value: "4.1.6"}, {Group: "os", Key: "version", Value: "8"}, {Group: "mpi", Key: "other", Value: "x"},
	})
	want := "site.mpi version >= 4.1.6 | preferred 7; site.any v=8 | informative; site.any v=x | informative"
	if compattest.DescribeAll(got) != want {
		t.Errorf("got %s, want %s", compattest.DescribeAll(got), want)
	}
}

func TestPropertiesOfOneDeviceAreOneRequirement(t *testing.T) {
	t.Parallel()
	got := testkit.Interpreter(t).Requirements([]compat.Attribute{{Group: "n", Key: "network-sriov.capable", Value: "false", Kind: compat.Bool}})
	want := []compat.Requirement{{
		Key: "n/network-sriov.capable", Set: "network.device", Not: true,
		Terms: []compat.Term{{Element: "sriov_totalvfs", Op: compat.Gt, Values: []string{"0"}}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWantIsInTheWordsOfNFD(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		req  compat.Requirement
		want string
	}{
		{"exists", requirement(compat.Exists), "set el"},
		{"does not exist", requirement(compat.DoesNotExist), "set without el"},
		{"in", requirement(compat.In, "a", "b"), "set el=a|b"},
		{"not in", requirement(compat.NotIn, "a"), "set el!=a"},
		{"true", requirement(compat.IsTrue), "set el=true"},
		{"false", requirement(compat.IsFalse), "set el=false"},
		{"greater", requirement(compat.Gt, "1"), "set el > 1"},
		{"at least", requirement(compat.Ge, "1"), "set el >= 1"},
		{"less", requirement(compat.Lt, "1"), "set el < 1"},
		{"at most", requirement(compat.Le, "1"), "set el <= 1"},
		{"an operator of a later version", requirement("Like", "1", "2"), "set el Like 1|2"},
		{"not", compat.Requirement{Set: "s", Not: true, Terms: []compat.Term{{Element: "a", Op: compat.Exists}}}, "no s a"},
		{"several terms", compat.Requirement{Set: "pci.device", Terms: []compat.Term{
			{Element: "vendor", Op: compat.In, Values: []string{"10de"}}, {Element: "class", Op: compat.In, Values: []string{"0300", "0302"}},
		}}, "pci.device vendor=10de and class=0300|0302"},
		{"unclear", compat.Requirement{Key: "g/k", Set: "s", Unclear: "why"}, "g/k"},
		{"a huge key", compat.Requirement{Key: strings.Repeat("k", 5000), Unclear: "why"}, strings.Repeat("k", 200) + "..."},
		{"a huge value", requirement(compat.In, strings.Repeat("é", 5000)), "set el=" + strings.Repeat("é", 96) + "..."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.req.Want(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestImportanceHasAName(t *testing.T) {
	t.Parallel()
	for i, want := range []string{"required", "preferred", "informative", "informative"} {
		if got := compat.Importance(i).String(); got != want {
			t.Errorf("importance %d is %q, want %q", i, got, want)
		}
	}
}

func requirement(op compat.Op, values ...string) compat.Requirement {
	return compat.Requirement{Set: "set", Terms: []compat.Term{{Element: "el", Op: op, Values: values}}}
}
