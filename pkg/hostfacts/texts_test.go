package hostfacts

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestKernelReleaseIsSplit(t *testing.T) {
	t.Parallel()
	tests := map[string]map[string]string{
		"6.8.0-45-generic":  {"full": "6.8.0-45-generic", "major": "6", "minor": "8", "revision": "0"},
		"6.1.0+bpo":         {"full": "6.1.0_bpo", "major": "6", "minor": "1", "revision": "0"},
		"5.10":              {"full": "5.10", "major": "5", "minor": "10"},
		"4.14.x":            {"full": "4.14.x", "major": "4", "minor": "14"},
		"6.18.44-fc-v657":   {"full": "6.18.44-fc-v657", "major": "6", "minor": "18", "revision": "44"},
		"next":              {"full": "next"},
		"5.15.167.4-WSL2.1": {"full": "5.15.167.4-WSL2.1", "major": "5", "minor": "15", "revision": "167"},
	}
	for release, want := range tests {
		if got := parseKernelVersion(release); !maps.Equal(got, want) {
			t.Errorf("parseKernelVersion(%q) = %v, want %v", release, got, want)
		}
	}
}

func TestOSReleaseIsUnquotedAndSplit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     map[string]string
	}{
		{"plain and quoted", "ID=debian\nNAME=\"Debian \\\"x\\\"\"\n", map[string]string{"ID": "debian", "NAME": `Debian "x"`}},
		{"single quotes", "NAME='a \\ b'\n", map[string]string{"NAME": `a \ b`}},
		{"version parts", "VERSION_ID=\"22.04\"\n", map[string]string{"VERSION_ID": "22.04", "VERSION_ID.major": "22", "VERSION_ID.minor": "04"}},
		{"more parts", "VERSION_ID=3815.2.0\n", map[string]string{"VERSION_ID": "3815.2.0", "VERSION_ID.major": "3815", "VERSION_ID.minor": "2"}},
		{"not a number", "VERSION_ID=8x\n", map[string]string{"VERSION_ID": "8x"}},
		{"comments, spaces, nonsense", "# a=b\n\n  ID=x  \n=y\nbad key=1\nE=\n", map[string]string{"ID": "x"}},
		{"unbalanced quote", "ID=\"x\n", map[string]string{"ID": "x"}},
	}
	for _, tt := range tests {
		if got := parseOSRelease([]byte(tt.in)); !maps.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestModulesHaveTheKernelsNames(t *testing.T) {
	t.Parallel()
	if got, want := parseModules([]byte("xfs 1 0 - Live 0x0\n\nena 2\n")), []string{"xfs", "ena"}; !slices.Equal(got, want) {
		t.Errorf("parseModules = %q, want %q", got, want)
	}
	got := parseBuiltinModules([]byte("kernel/a/nf-nat.ko\nkernel/b.ko\n.ko\nnonsense\n"))
	if want := []string{"nf-nat", "nf_nat", "b"}; !slices.Equal(got, want) {
		t.Errorf("parseBuiltinModules = %q, want %q", got, want)
	}
}

func TestCPUInfoTellsTheArchitecture(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, arch string
		wantErr        bool
	}{
		{"amd64", "vendor_id : GenuineIntel\nflags : fpu lm\n", "amd64", false},
		{"386", "vendor_id : GenuineIntel\nflags : fpu\n", "386", false},
		{"arm64", "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\n", "arm64", false},
		{"arm", "processor : 0\nFeatures : half thumb\nCPU implementer : 0x41\n", "arm", false},
		{"s390x", "vendor_id : IBM/S390\n", "s390x", false},
		{"riscv64", "isa : rv64imafdc\nuarch : sifive,u74-mc\n", "riscv64", false},
		{"ppc64le", "processor : 0\ncpu : POWER9, altivec supported\n", "ppc64le", false},
		{"empty", "", "", true},
	}
	for _, tt := range tests {
		got, err := parseCPUInfo([]byte(tt.in))
		if got.Arch != tt.arch || (err != nil) != tt.wantErr {
			t.Errorf("%s: arch %q, error %v", tt.name, got.Arch, err)
		}
	}
}

func TestOnlyTheFirstProcessorIsRead(t *testing.T) {
	t.Parallel()
	c, err := parseCPUInfo([]byte("processor : 0\nflags : lm\nprocessor : 1\nmodel : 7\n"))
	if err != nil || c.has.model {
		t.Errorf("read on into the second processor: %+v, %v", c, err)
	}
}

func TestFlagTableHasNamesOfCPUID(t *testing.T) {
	t.Parallel()
	for kernelName, names := range x86FlagNames() {
		if len(names) == 0 {
			t.Errorf("%s has no name", kernelName)
		}
		for _, name := range names {
			if cpuid.ParseFeature(name) == cpuid.UNKNOWN {
				t.Errorf("%s: klauspost/cpuid knows no %s", kernelName, name)
			}
		}
	}
}

func TestHypervisorIsNamedAsByNFD(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		virtual bool
		vendor  cpuid.Vendor
		raw     string
		want    string
	}{
		{false, cpuid.VendorUnknown, "", "none"},
		{true, cpuid.KVM, "KVMKVMKVM", "kvm"},
		{true, cpuid.VendorUnknown, "My Own!! HV", "My_Own_HV"},
		{true, cpuid.VendorUnknown, "", "unknown"},
	} {
		if got := liveHypervisor(tt.virtual, tt.vendor, tt.raw); got != tt.want {
			t.Errorf("liveHypervisor(%v, %v, %q) = %q, want %q", tt.virtual, tt.vendor, tt.raw, got, tt.want)
		}
	}
}

func TestPStateNeedsItsDriver(t *testing.T) {
	t.Parallel()
	const dir = "sys/devices/system/cpu/"
	active := map[string]string{
		dir + "intel_pstate/status": "active\n", dir + "intel_pstate/no_turbo": "0\n",
		dir + "cpufreq/policy0/affected_cpus": "0\n", dir + "cpufreq/policy0/scaling_governor": "performance\n",
		dir + "cpufreq/policy1/affected_cpus": "\n", dir + "cpufreq/policy1/scaling_governor": "powersave\n",
	}
	mixed := maps.Clone(active)
	mixed[dir+"cpufreq/policy1/affected_cpus"] = "1\n"
	tests := []struct {
		name  string
		files map[string]string
		want  map[string]string
	}{
		{"active", active, map[string]string{"status": "active", "turbo": "true", "scaling": "performance", "scaling_governor": "performance"}},
		{"governors differ", mixed, map[string]string{"status": "active", "turbo": "true"}},
		{"passive", map[string]string{dir + "intel_pstate/status": "passive\n", dir + "intel_pstate/no_turbo": "1\n"}, map[string]string{"status": "passive", "turbo": "false"}},
		{"off", map[string]string{dir + "intel_pstate/status": "off\n"}, map[string]string{}},
		{"another driver", map[string]string{dir + "cpu0/online": "1\n"}, map[string]string{}},
	}
	for _, tt := range tests {
		out := facts.NewFeatures()
		err := collectPState(host{root: tree(t, tt.files)}, &out)
		if got := out.Attributes["cpu.pstate"]; err != nil || !maps.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}

func FuzzParseOSRelease(f *testing.F) {
	f.Add([]byte("ID=\"a\\\"b\"\nVERSION_ID=22.04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for key := range parseOSRelease(data) {
			if !isOSReleaseKey(strings.Replace(key, ".", "", 1)) {
				t.Errorf("key %q", key)
			}
		}
	})
}

func FuzzParseCPUInfo(f *testing.F) {
	f.Add([]byte("vendor_id : AuthenticAMD\ncpu family : 23\nmodel : 1\nflags : fpu lm avx2\n"))
	f.Add([]byte("Features : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCPUInfo(data)
		if (err == nil) != (c.Arch != "") {
			t.Errorf("arch %q with error %v", c.Arch, err)
		}
		flags, _ := cpuFlags(c)
		level := facts.X86Level(func(flag string) bool { return slices.Contains(flags, flag) })
		if level < 1 || level > facts.X86MaxLevel {
			t.Errorf("level %d", level)
		}
	})
}

func FuzzParseModules(f *testing.F) {
	f.Add([]byte("xfs 997681 2 - Live 0x0\nkernel/fs/ext4/ext4.ko\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, module := range slices.Concat(parseModules(data), parseBuiltinModules(data)) {
			if module == "" || strings.ContainsAny(module, "\n") {
				t.Errorf("module %q", module)
			}
		}
	})
}

func FuzzParseKernelConfig(f *testing.F) {
	f.Add([]byte("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for name := range parseKernelConfig(data) {
			if name == "" || strings.ContainsAny(name, "=\n") {
				t.Errorf("option %q", name)
			}
		}
	})
}

func FuzzParseKernelVersion(f *testing.F) {
	f.Add("6.8.0-45-generic")
	f.Add("6.1.0+bpo")
	f.Fuzz(func(t *testing.T, release string) {
		version := parseKernelVersion(release)
		if !utf8.ValidString(version["full"]) {
			t.Errorf("full %q", version["full"])
		}
		for _, element := range []string{"major", "minor", "revision"} {
			if digits := version[element]; leadingDigits(digits) != digits {
				t.Errorf("%s %q", element, digits)
			}
		}
	})
}
