package facts

import (
	"maps"
	"strings"
	"testing"
)

func labelled() Features {
	return Features{
		Flags: map[string][]string{
			"cpu.cpuid":           {"AVX2", "SSE42"},
			"kernel.loadedmodule": {"ib_uverbs", "rdma_ucm"},
		},
		Attributes: map[string]map[string]string{
			"cpu.cpuid":        {"AVX10_VERSION": "1"},
			"cpu.model":        {"vendor_id": "Intel", "family": "6", "id": "143"},
			"cpu.cstate":       {"enabled": "true"},
			"cpu.pstate":       {"status": "active", "turbo": "false", "scaling_governor": "performance"},
			"cpu.rdt":          {"RDTL3CA": "true", "RDTL3CA_NUM_CLOSID": "15"},
			"cpu.security":     {"sgx.enabled": "true", "sgx.epc": "4096", "tdx.total_keys": "3"},
			"cpu.sst":          {"bf.enabled": "true"},
			"cpu.coprocessor":  {},
			"cpu.topology":     {"hardware_multithreading": "true", "socket_count": "2"},
			"kernel.version":   {"full": "6.8.0-45-generic", "major": "6"},
			"kernel.config":    {"PREEMPT": "y", "KVM": "m", "HZ": "250", "CC_VERSION_TEXT": "gcc (Debian) 12", "LOCALVERSION": ""},
			"kernel.selinux":   {"enabled": "true"},
			"memory.numa":      {"is_numa": "true", "node_count": "2"},
			"memory.swap":      {"enabled": "true"},
			"system.osrelease": {"ID": "rhel", "VERSION_ID": "9.4", "VERSION_ID.major": "9", "VERSION_ID.minor": "4", "NAME": "RHEL"},
			"local.label":      {"feature.node.kubernetes.io/site": "a", "vendor.io/rack": "2", "bare": "true", "cpu-model.family": "7", "bad key": "x"},
			"local.feature":    {"hidden": "true"},
		},
		Instances: map[string][]map[string]string{
			"memory.nv":      {{"name": "dax0.0", "devtype": "nd_dax"}},
			"network.device": {{"name": "eth0", "sriov_totalvfs": "8", "sriov_numvfs": "2"}},
			"pci.device": {
				{"class": "0302", "vendor": "10de", "device": "2330"},
				{"class": "0200", "vendor": "15b3", "device": "1019", "sriov_totalvfs": "8"},
			},
			"usb.device":    {{"class": "0e", "vendor": "abcd", "device": "1234"}},
			"storage.block": {{"name": "nvme0n1", "rotational": "0"}},
		},
	}
}

func TestLabelsAreThoseOfNFD(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"cpu-cpuid.AVX2": "true", "cpu-cpuid.SSE42": "true", "cpu-cpuid.AVX10_VERSION": "1",
		"cpu-model.vendor_id": "Intel", "cpu-model.family": "7", "cpu-model.id": "143",
		"cpu-cstate.enabled": "true",
		"cpu-pstate.status":  "active", "cpu-pstate.turbo": "false", "cpu-pstate.scaling_governor": "performance",
		"cpu-rdt.RDTL3CA": "true", "cpu-rdt.RDTL3CA_NUM_CLOSID": "15",
		"cpu-security.sgx.enabled":    "true",
		"cpu-power.sst_bf.enabled":    "true",
		"cpu-hardware_multithreading": "true",
		"kernel-version.full":         "6.8.0-45-generic", "kernel-version.major": "6",
		"kernel-config.PREEMPT": "true", "kernel-config.KVM": "true", "kernel-config.HZ": "250", "kernel-config.LOCALVERSION": "",
		"kernel-selinux.enabled": "true",
		"memory-numa":            "true", "memory-swap": "true", "memory-nv.present": "true", "memory-nv.dax": "true",
		"network-sriov.capable": "true", "network-sriov.configured": "true",
		"pci-0302_10de.present": "true", "pci-10de.present": "true", "pci-0302_10de_2330.present": "true",
		"pci-0200_15b3.present": "true", "pci-15b3.present": "true", "pci-0200_15b3_1019.present": "true",
		"pci-0200_15b3.sriov.capable": "true", "pci-15b3.sriov.capable": "true", "pci-0200_15b3_1019.sriov.capable": "true",
		"usb-0e_abcd_1234.present":  "true",
		"storage-nonrotationaldisk": "true",
		"system-os_release.ID":      "rhel", "system-os_release.VERSION_ID": "9.4",
		"system-os_release.VERSION_ID.major": "9", "system-os_release.VERSION_ID.minor": "4",
		"custom-rdma.capable": "true", "custom-rdma.available": "true", "rdma.capable": "true", "rdma.available": "true",
		"site": "a", "vendor.io/rack": "2", "bare": "true",
	}
	facts := New("linux", "amd64", labelled())
	got := facts.AllLabels()
	for name, value := range want {
		if has, ok := got[name]; !ok || has != value {
			t.Errorf("%s is %q (%v), want %q", name, has, ok, value)
		}
	}
	for name, value := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s=%s is not wanted", name, value)
		}
	}
	maps.DeleteFunc(got, func(string, string) bool { return true })
	if len(facts.AllLabels()) != len(want) {
		t.Error("the labels are not a copy")
	}
}

// TestDefaultLabelsAreThoseOfAnUnconfiguredNFD: without the sources' options that make
// more, but with what feature files state.
func TestDefaultLabelsAreThoseOfAnUnconfiguredNFD(t *testing.T) {
	t.Parallel()
	features := labelled()
	features.Flags["cpu.hybrid"] = []string{"cpu_atom", "cpu_core"}
	features.Attributes["local.label"]["pci-10de.present"] = "true"
	features.Attributes["cpu.topology"]["hardware_multithreading"] = "false"
	known := New("linux", "amd64", features)
	got, all := known.Labels(), known.AllLabels()
	for _, name := range strings.Fields("cpu-cpuid.SSE42 cpu-rdt.RDTL3CA kernel-config.KVM kernel-config.HZ pci-0302_10de_2330.present " +
		"pci-0200_15b3.present pci-0200_15b3.sriov.capable custom-rdma.capable") {
		if _, ok := got[name]; ok || all[name] == "" {
			t.Errorf("%s=%q of all labels is a default one", name, all[name])
		}
	}
	for name, want := range map[string]string{
		"cpu-cpuid.AVX2": "true", "cpu-cpuid.AVX10_VERSION": "1", "kernel-config.PREEMPT": "true", "pci-0302_10de.present": "true",
		"usb-0e_abcd_1234.present": "true", "rdma.capable": "true", "cpu-hardware_multithreading": "false", "cpu-cpu_atom": "true",
		"pci-10de.present": "true", "vendor.io/rack": "2", "site": "a", "storage-nonrotationaldisk": "true",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// TestWhatKubernetesRefusesIsNotALabel: what is off, missing or zero has no label.
func TestWhatKubernetesRefusesIsNotALabel(t *testing.T) {
	t.Parallel()
	facts := New("linux", "amd64", Features{
		Flags: map[string][]string{"kernel.loadedmodule": {"ib_uverbs"}},
		Attributes: map[string]map[string]string{
			"cpu.topology": {"hardware_multithreading": "false"}, "kernel.selinux": {"enabled": "false"},
			"memory.numa": {"is_numa": "false"}, "memory.swap": {"enabled": "false"},
			"kernel.version": {"full": "", "major": "-6-"},
		},
		Instances: map[string][]map[string]string{
			"memory.nv":      {},
			"network.device": {{"name": "eth0", "sriov_totalvfs": "0", "sriov_numvfs": "x"}},
			"pci.device":     {{"class": "0302"}},
			"storage.block":  {{"name": "sda", "rotational": "1"}, {"name": "sdb"}},
		},
	})
	if got := facts.AllLabels(); !maps.Equal(got, map[string]string{"kernel-version.full": "", "cpu-hardware_multithreading": "false"}) {
		t.Errorf("labels %v", got)
	}
}

func TestLabelHasTheStateOfItsFact(t *testing.T) {
	t.Parallel()
	features := labelled()
	features.Unknown = map[string]string{"usb.device": "no sys", "kernel.kvm": "no sys"}
	features.Attributes["memory.swap"]["enabled"] = "false"
	features.Flags["kernel.loadedmodule"] = []string{"xfs"}
	delete(features.Instances, "usb.device")
	delete(features.Attributes, "cpu.sst")
	facts := New("linux", "amd64", features)
	for name, want := range map[string]Fact{
		"cpu-cpuid.AVX2": {State: Present, Value: "true"},
		"feature.node.kubernetes.io/cpu-cpuid.AVX2": {State: Present, Value: "true"},
		"cpu-cpuid.AVX512F":                         {State: Absent},
		"cpu-power.sst_bf.enabled":                  {Cause: "no collector for cpu.sst"},
		"cpu-security.tdx.total_keys":               {State: Absent}, // there, but NFD has no label for it
		"memory-swap":                               {State: Absent},
		"rdma.available":                            {State: Absent},
		"pci-1002.present":                          {State: Absent},
		"pci-0302_10de.sriov.capable":               {State: Absent},
		"usb-ff_1234_1234.present":                  {Cause: "no sys"},
		"cpu-coprocessor.nx_gzip":                   {State: Absent},
		"vendor.io/rack":                            {State: Present, Value: "2"},
		"vendor.io/row":                             {Cause: "no fact corresponds to label vendor.io/row"},
		"pci-.present":                              {Cause: "no fact corresponds to label pci-.present"},
	} {
		if got := facts.Label(name); got != want {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
}

func TestLabelNamesAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	for name, want := range map[string]bool{
		"a": true, "a.b-c_d": true, "A9": true, long: true, "vendor.io/a": true,
		"": false, long + "a": false, "-a": false, "a-": false, ".": false, "a b": false, "ä": false,
		"/a": false, "a/": false, "Vendor.io/a": false, "a/b/c": false,
	} {
		if got := isLabelName(name); got != want {
			t.Errorf("isLabelName(%q) = %v", name, got)
		}
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("cpu.cpuid", "AVX2", "true", "cpu-cpuid.AVX2")
	f.Add("local.label", "vendor.io/a", "b", "vendor.io/a")
	f.Fuzz(func(t *testing.T, set, element, value, name string) {
		facts := New("linux", "amd64", Features{
			Flags:      map[string][]string{set: {element}},
			Attributes: map[string]map[string]string{set: {element: value}},
			Instances:  map[string][]map[string]string{set: {{"class": element, "vendor": value, "device": name}}},
		})
		for label, has := range facts.AllLabels() {
			if !isLabelName(label) || has != "" && !isLabelWord(has) {
				t.Errorf("label %q=%q", label, has)
			}
			if got := facts.Label(label); got.State != Present || got.Value != has {
				t.Errorf("Label(%q) = %+v, want %q", label, got, has)
			}
		}
		if got := facts.Label(name); (got.State == Unknown) != (got.Cause != "") {
			t.Errorf("Label(%q) = %+v", name, got)
		}
	})
}
