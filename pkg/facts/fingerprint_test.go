package facts

import "testing"

// TestFingerprintIgnoresOnlyVolatileFacts changes every kind of fact and wants the fingerprint to change
// with it, but for what is in the table of volatile sets.
func TestFingerprintIgnoresOnlyVolatileFacts(t *testing.T) {
	t.Parallel()
	stable := map[string]func(*Features){
		"an attribute of an instance": func(f *Features) { f.Instances["pci.device"][0]["device"] = "2331" },
		"an instance":                 func(f *Features) { f.Instances["usb.device"] = nil },
		"a disk":                      func(f *Features) { f.Instances["storage.block"][0]["rotational"] = "1" },
		"functions that can be made":  func(f *Features) { f.Instances["network.device"][0]["sriov_totalvfs"] = "4" },
		"an attribute":                func(f *Features) { f.Attributes["memory.swap"]["enabled"] = "false" },
		"a flag":                      func(f *Features) { f.Flags["cpu.cpuid"] = []string{"AVX2"} },
		"a label":                     func(f *Features) { f.Attributes["local.label"]["site"] = "b" },
		"an element known absent":     func(f *Features) { f.Absent = map[string][]string{"site.fabric": {"hsn0"}} },
		"virtual networks unknown":    func(f *Features) { f.Unknown = map[string]string{"network.virtual": "no"} },
	}
	volatile := map[string]func(*Features){
		"state":        func(f *Features) { f.Instances["network.device"][0]["operstate"] = "down" },
		"speed":        func(f *Features) { f.Instances["network.device"][0]["speed"] = "-1" },
		"functions":    func(f *Features) { f.Instances["network.device"][0]["sriov_numvfs"] = "0" },
		"pod networks": func(f *Features) { f.Instances["network.virtual"] = []map[string]string{{"name": "veth1"}} },
		"loop devices": func(f *Features) {
			f.Instances["storage.block"] = append(f.Instances["storage.block"], map[string]string{"name": "loop7"}, map[string]string{"name": "dm-3"})
		},
		"origins":    func(f *Features) { f.Origins = map[string]string{"cpu.cpuid": "elsewhere"} },
		"problems":   func(f *Features) { f.Problems = []string{"bad file"} },
		"said twice": func(f *Features) { f.Absent = map[string][]string{"cpu.cpuid": {"AVX512F"}} },
	}
	base := New("linux", "amd64", labelled()).Fingerprint()
	check := func(changes map[string]func(*Features), same bool) {
		for name, change := range changes {
			features := labelled()
			change(&features)
			if got := New("linux", "amd64", features).Fingerprint(); (got == base) != same {
				t.Errorf("%s: same fingerprint %v, want %v", name, got == base, same)
			}
		}
	}
	check(stable, false)
	check(volatile, true)
}

func TestBlockDevicesMadeBySoftwareAreVolatile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"loop0": true, "dm-12": true, "nbd3": true, "zram0": true, "md127": true, "rbd0": true, "drbd1": true, "ram0": true,
		"sda": false, "nvme0n1": false, "vda": false, "mmcblk0": false, "loop": false, "mdx": false, "": false, "pmem0": false,
	} {
		if got := isVirtualBlock(map[string]string{"name": name}); got != want {
			t.Errorf("isVirtualBlock(%q) = %v", name, got)
		}
	}
}

// TestSetOfTwoKindsHasOneFingerprint: cpu.cpuid has flags and an attribute.
func TestSetOfTwoKindsHasOneFingerprint(t *testing.T) {
	t.Parallel()
	facts := New("linux", "amd64", Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX10"}},
		Attributes: map[string]map[string]string{"cpu.cpuid": {"AVX10_VERSION": "2"}},
	})
	for element, want := range map[string]Fact{
		"AVX10": {State: Present}, "AVX10_VERSION": {State: Present, Value: "2"}, "AVX2": {State: Absent},
	} {
		if got := facts.Lookup("cpu.cpuid", element); got != want {
			t.Errorf("%s is %+v, want %+v", element, got, want)
		}
	}
}
