package hostfacts

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

const (
	xeonInfo     = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nflags\t\t: fpu lm "
	gravitonInfo = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
)

// plus joins two trees; the second one counts.
func plus(a, b map[string]string) map[string]string {
	joined := maps.Clone(a)
	maps.Copy(joined, b)
	return joined
}

func cpuStateLookups() []lookupCase {
	const cpu = "sys/devices/system/cpu/"
	idle := map[string]string{
		cpu + "cpuidle/current_driver":                    "intel_idle\n",
		"sys/module/intel_idle/parameters/max_cstate":     "9\n",
		cpu + "cpufreq/policy0/base_frequency":            "2300000\n",
		"sys/devices/vio/ibm,compression-v1/nx_gzip_caps": "",
	}
	return []lookupCase{
		{name: "C-states allowed", files: idle, set: "cpu.cstate", element: "enabled", want: facts.Present, value: "true"},
		{name: "C-states forbidden", files: plus(idle, map[string]string{"sys/module/intel_idle/parameters/max_cstate": "0\n"}),
			set: "cpu.cstate", element: "enabled", want: facts.Present, value: "false"},
		{name: "another idle driver", files: plus(idle, map[string]string{cpu + "cpuidle/current_driver": "acpi_idle\n"}),
			set: "cpu.cstate", element: "enabled", want: facts.Absent},
		{name: "no idle driver", files: map[string]string{cpu + "online": "0-1\n"}, set: "cpu.cstate", element: "enabled", want: facts.Absent},
		{name: "C-states without sys", files: map[string]string{"proc/cpuinfo": gravitonInfo},
			set: "cpu.cstate", element: "enabled", want: facts.Unknown, cause: "sys/devices/system/cpu"},
		{name: "a limit that is not a number", files: plus(idle, map[string]string{"sys/module/intel_idle/parameters/max_cstate": "x\n"}),
			set: "cpu.cstate", element: "enabled", want: facts.Unknown, cause: `"x", not a number`},
		{name: "no base frequencies", files: map[string]string{cpu + "cpufreq/policy0/scaling_governor": "performance\n"},
			set: "cpu.sst", element: "bf.enabled", want: facts.Absent},
		{name: "a base frequency of another machine", files: idle,
			set: "cpu.sst", element: "bf.enabled", want: facts.Unknown, cause: "nominal base frequency"},
		{name: "base frequencies without sys", files: map[string]string{"proc/cpuinfo": gravitonInfo},
			set: "cpu.sst", element: "bf.enabled", want: facts.Unknown, cause: "sys/devices/system/cpu"},
		{name: "gzip accelerator", files: idle, set: "cpu.coprocessor", element: "nx_gzip", want: facts.Present, value: "true"},
		{name: "no gzip accelerator", files: map[string]string{cpu + "online": "0\n"}, set: "cpu.coprocessor", element: "nx_gzip", want: facts.Absent},
		{name: "gzip accelerator without sys", files: map[string]string{}, set: "cpu.coprocessor", element: "nx_gzip", want: facts.Unknown, cause: "sys/devices"},
	}
}

func rdtLookups() []lookupCase {
	cpu := map[string]string{"proc/cpuinfo": xeonInfo + "cqm_llc cqm_occup_llc cqm_mbm_total rdt_a cat_l3 mba\n"}
	mounted := plus(cpu, map[string]string{"sys/fs/resctrl/info/L3/num_closids": "16\n"})
	return []lookupCase{
		{name: "monitoring", files: cpu, set: "cpu.rdt", element: "RDTMON", want: facts.Present, value: "true"},
		{name: "occupancy", files: cpu, set: "cpu.rdt", element: "RDTCMT", want: facts.Present, value: "true"},
		{name: "bandwidth needs both counters", files: cpu, set: "cpu.rdt", element: "RDTMBM", want: facts.Absent},
		{name: "cache allocation", files: cpu, set: "cpu.rdt", element: "RDTL3CA", want: facts.Present, value: "true"},
		{name: "no level 2", files: cpu, set: "cpu.rdt", element: "RDTL2CA", want: facts.Absent},
		{name: "bandwidth allocation", files: cpu, set: "cpu.rdt", element: "RDTMBA", want: facts.Present, value: "true"},
		{name: "classes beside the default", files: mounted, set: "cpu.rdt", element: "RDTL3CA_NUM_CLOSID", want: facts.Present, value: "15"},
		{name: "classes without resctrl", files: cpu, set: "cpu.rdt", element: "RDTL3CA_NUM_CLOSID", want: facts.Unknown, cause: "resctrl is not mounted"},
		{name: "no classes of nothing", files: map[string]string{"proc/cpuinfo": xeonInfo + "sse\n"},
			set: "cpu.rdt", element: "RDTL3CA_NUM_CLOSID", want: facts.Absent},
		{name: "zero classes are none", files: plus(cpu, map[string]string{"sys/fs/resctrl/info/L3/num_closids": "0\n"}),
			set: "cpu.rdt", element: "RDTL3CA_NUM_CLOSID", want: facts.Unknown, cause: "not a count"},
		{name: "not on arm64", files: map[string]string{"proc/cpuinfo": gravitonInfo}, set: "cpu.rdt", element: "RDTMON", want: facts.Absent},
		{name: "no cpuinfo", files: map[string]string{}, set: "cpu.rdt", element: "RDTMON", want: facts.Unknown, cause: "proc/cpuinfo"},
		{name: "version of AVX10 in a tree", files: map[string]string{"proc/cpuinfo": xeonInfo + "avx10\n"},
			set: "cpu.cpuid", element: "AVX10_VERSION", want: facts.Unknown, cause: "version of AVX10"},
		{name: "no AVX10, no version", files: cpu, set: "cpu.cpuid", element: "AVX10_VERSION", want: facts.Absent},
	}
}

func securityLookups() []lookupCase {
	intel := map[string]string{
		"proc/cpuinfo": xeonInfo + "sgx tdx_guest\n",
		"sys/devices/system/node/node0/x86/sgx_total_bytes": "4096\n",
		"sys/devices/system/node/node1/x86/sgx_total_bytes": "8192\n",
		"sys/module/kvm_intel/parameters/tdx":               "Y\n",
		"sys/fs/cgroup/misc.capacity":                       "sev_es 99\nsev 410\ntdx 31\n",
	}
	amd := map[string]string{
		"proc/cpuinfo":                          xeonInfo + "sse\n",
		"sys/module/kvm_amd/parameters/sev":     "1\n",
		"sys/module/kvm_amd/parameters/sev_es":  "Y\n",
		"sys/module/kvm_amd/parameters/sev_snp": "N\n",
		"sys/fs/cgroup/misc/misc.capacity":      "sev_es 99\nsev 410\n",
	}
	z := map[string]string{"proc/cpuinfo": "vendor_id       : IBM/S390\n", "sys/firmware/uv/prot_virt_host": "1\n"}
	const set = "cpu.security"
	return []lookupCase{
		{name: "SGX of two nodes", files: intel, set: set, element: "sgx.epc", want: facts.Present, value: "12288"},
		{name: "SGX on", files: intel, set: set, element: "sgx.enabled", want: facts.Present, value: "true"},
		{name: "SGX on, size not told", files: map[string]string{"proc/cpuinfo": xeonInfo + "sgx\n"},
			set: set, element: "sgx.enabled", want: facts.Unknown, cause: "sys/devices/system/node"},
		{name: "SGX off", files: amd, set: set, element: "sgx.enabled", want: facts.Absent},
		{name: "TDX host", files: intel, set: set, element: "tdx.enabled", want: facts.Present, value: "true"},
		{name: "TDX keys", files: intel, set: set, element: "tdx.total_keys", want: facts.Present, value: "31"},
		{name: "TDX guest", files: intel, set: set, element: "tdx.protected", want: facts.Present, value: "true"},
		{name: "no TDX guest", files: amd, set: set, element: "tdx.protected", want: facts.Absent},
		{name: "SEV", files: amd, set: set, element: "sev.enabled", want: facts.Present, value: "true"},
		{name: "SEV identifiers are not those of SEV-ES", files: amd, set: set, element: "sev.asids", want: facts.Present, value: "410"},
		{name: "SEV-ES identifiers", files: amd, set: set, element: "sev.encrypted_state_ids", want: facts.Present, value: "99"},
		{name: "SEV-SNP off", files: amd, set: set, element: "sev.snp.enabled", want: facts.Absent},
		{name: "no SEV on Intel", files: intel, set: set, element: "sev.enabled", want: facts.Absent},
		{name: "SEV without sys", files: map[string]string{"proc/cpuinfo": xeonInfo + "sse\n"},
			set: set, element: "sev.enabled", want: facts.Unknown, cause: "sys/module"},
		{name: "SEV capacity not told", files: map[string]string{"proc/cpuinfo": xeonInfo + "\n", "sys/module/kvm_amd/parameters/sev": "1\n"},
			set: set, element: "sev.asids", want: facts.Unknown, cause: "misc.capacity"},
		{name: "secure execution", files: z, set: set, element: "se.enabled", want: facts.Present, value: "true"},
		{name: "no secure execution", files: map[string]string{"proc/cpuinfo": z["proc/cpuinfo"], "sys/firmware/x": ""},
			set: set, element: "se.enabled", want: facts.Absent},
		{name: "no CPU", files: map[string]string{}, set: set, element: "se.enabled", want: facts.Unknown, cause: "proc/cpuinfo"},
	}
}

func systemLookups() []lookupCase {
	const huge = "sys/kernel/mm/hugepages/"
	pages := map[string]string{
		huge + "hugepages-2048kB/nr_hugepages":    "512\n",
		huge + "hugepages-1048576kB/nr_hugepages": "0\n",
		huge + "hugepages-64kB/nr_hugepages":      "0\n",
	}
	dmi := map[string]string{
		"sys/class/dmi/id": "-> ../../devices/virtual/dmi/id", "sys/devices/virtual/dmi/id/sys_vendor": "Dell Inc.\n",
		"sys/devices/virtual/dmi/id/product_serial": "SECRET\n",
	}
	return []lookupCase{
		{name: "huge pages set aside", files: pages, set: "memory.hugepages", element: "hugepages-2Mi", want: facts.Present, value: "512"},
		{name: "huge pages of 1 GiB", files: pages, set: "memory.hugepages", element: "hugepages-1Gi", want: facts.Present, value: "0"},
		{name: "huge pages of 64 KiB", files: pages, set: "memory.hugepages", element: "hugepages-64Ki", want: facts.Present, value: "0"},
		{name: "huge pages enabled", files: pages, set: "memory.hugepages", element: "enabled", want: facts.Present, value: "true"},
		{name: "no size of 16 GiB", files: pages, set: "memory.hugepages", element: "hugepages-16Gi", want: facts.Absent},
		{name: "a kernel without huge pages", files: map[string]string{"sys/kernel/uevent_seqnum": "1\n"},
			set: "memory.hugepages", element: "enabled", want: facts.Present, value: "false"},
		{name: "huge pages without sys", files: map[string]string{}, set: "memory.hugepages", element: "enabled", want: facts.Unknown, cause: "sys/kernel"},
		{name: "a count that is not a number", files: map[string]string{huge + "hugepages-2048kB/nr_hugepages": "many\n"},
			set: "memory.hugepages", element: "enabled", want: facts.Unknown, cause: "could be counted"},
		{name: "KVM", files: map[string]string{"sys/devices/virtual/misc/kvm/uevent": ""}, set: "kernel.kvm", element: "enabled", want: facts.Present, value: "true"},
		{name: "no KVM", files: map[string]string{"sys/devices/virtual/misc/x": ""}, set: "kernel.kvm", element: "enabled", want: facts.Present, value: "false"},
		{name: "KVM without sys", files: map[string]string{}, set: "kernel.kvm", element: "enabled", want: facts.Unknown, cause: "sys/devices/virtual"},
		{name: "vendor of the machine", files: dmi, set: "system.dmiid", element: "sys_vendor", want: facts.Present, value: "Dell Inc."},
		{name: "serial numbers are not read", files: dmi, set: "system.dmiid", element: "product_serial", want: facts.Absent},
		{name: "a machine without DMI", files: map[string]string{"sys/class/net/lo/mtu": "1\n"}, set: "system.dmiid", element: "sys_vendor", want: facts.Absent},
		{name: "DMI without sys", files: map[string]string{}, set: "system.dmiid", element: "sys_vendor", want: facts.Unknown, cause: "sys/class"},
	}
}

func TestFactsOfEachFamilyArePresentAbsentOrUnknown(t *testing.T) {
	t.Parallel()
	for _, tt := range slices.Concat(cpuStateLookups(), rdtLookups(), securityLookups(), systemLookups()) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Collect(context.Background(), tree(t, tt.files)).Lookup(tt.set, tt.element)
			if got.State != tt.want || got.Value != tt.value || !strings.Contains(got.Cause, tt.cause) {
				t.Errorf("Lookup(%s, %s) = %v %q %q, want %v %q and a cause with %q",
					tt.set, tt.element, got.State, got.Value, got.Cause, tt.want, tt.value, tt.cause)
			}
			if (got.State == facts.Unknown) != (got.Cause != "") {
				t.Errorf("state %v with cause %q", got.State, got.Cause)
			}
		})
	}
}

func TestDevicesAreListedWithTheirAttributes(t *testing.T) {
	t.Parallel()
	const pci, usb = "sys/bus/pci/devices/0000:3b:00.0/", "sys/bus/usb/devices/"
	files := map[string]string{
		pci + "class": "0x030200\n", pci + "vendor": "0x10de\n", pci + "device": "0x2330\n",
		pci + "subsystem_vendor": "0x10de\n", pci + "subsystem_device": "0x16c1\n", pci + "sriov_totalvfs": "16\n",
		pci + "iommu_group": "-> ../../../../kernel/iommu_groups/7", "sys/kernel/iommu_groups/7/type": "DMA-FQ\n",
		"sys/bus/pci/devices/0000:00:00.0/class": "0x060000\n", "sys/bus/pci/devices/0000:00:00.0/vendor": "0x8086\n",
		usb + "1-1/idProduct": "1234\n", usb + "1-1/idVendor": "abcd\n", usb + "1-1/bDeviceClass": "00\n", usb + "1-1/serial": "1\n",
		usb + "1-1/1-1:1.0/bInterfaceClass": "0e\n", usb + "1-1/1-1:1.1/bInterfaceClass": "ff\n",
		usb + "1-2/idProduct": "0001\n", usb + "1-2/idVendor": "1d6b\n", usb + "1-2/bDeviceClass": "09\n",
		usb + "1-1:1.0/bInterfaceClass":      "0e\n", // an interface, no device
		"sys/block/nvme0n1/queue/rotational": "0\n", "sys/block/nvme0n1/queue/zoned": "none\n",
		"sys/block/loop0/queue/rotational": "1\n",
	}
	want := map[string][]map[string]string{
		"pci.device": {
			{"class": "0600", "vendor": "8086"},
			{"class": "0302", "vendor": "10de", "device": "2330", "subsystem_vendor": "10de", "subsystem_device": "16c1",
				"sriov_totalvfs": "16", "iommu_group/type": "DMA-FQ"},
		},
		"usb.device": {
			{"class": "0e", "vendor": "abcd", "device": "1234", "serial": "1"},
			{"class": "ff", "vendor": "abcd", "device": "1234", "serial": "1"},
			{"class": "09", "vendor": "1d6b", "device": "0001"},
		},
		"storage.block": {{"name": "loop0", "rotational": "1"}, {"name": "nvme0n1", "rotational": "0", "zoned": "none"}},
	}
	known := Collect(context.Background(), tree(t, files))
	for set, list := range want {
		if got, fact := known.Instances(set); fact.State != facts.Present || !reflect.DeepEqual(got, list) {
			t.Errorf("%s is %v (%+v), want %v", set, got, fact, list)
		}
	}
}

func TestDeviceSetsWithoutDevicesAreEmpty(t *testing.T) {
	t.Parallel()
	none := Collect(context.Background(), tree(t, map[string]string{"sys/bus/cpu/x": "", "sys/class/net/lo/mtu": "1\n"}))
	blind := Collect(context.Background(), tree(t, map[string]string{"sys/x": "", "proc/x": ""}))
	for _, set := range []string{"pci.device", "usb.device", "storage.block", "network.device", "network.virtual", "memory.nv"} {
		if _, fact := none.Instances(set); fact.State != facts.Present {
			t.Errorf("%s of a kernel without them: %+v", set, fact)
		}
		if _, fact := blind.Instances(set); fact.State != facts.Unknown || !strings.Contains(fact.Cause, "no such file") {
			t.Errorf("%s of a tree without sys: %+v", set, fact)
		}
	}
}

func TestRaisedBaseFrequencyIsToldInMegahertz(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kiloHertz int
		nominal   int64
		want      bool
	}{{2300000, 2300_000_000, false}, {2300999, 2300_000_000, false}, {2700000, 2300_000_000, true}, {2100000, 2300_000_000, false}} {
		if got := baseRaised(tt.kiloHertz, tt.nominal); got != tt.want {
			t.Errorf("baseRaised(%d, %d) = %v", tt.kiloHertz, tt.nominal, got)
		}
	}
}

func TestHugePagesAreNamedAsByKubernetes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"hugepages-2048kB": "hugepages-2Mi", "hugepages-1048576kB": "hugepages-1Gi", "hugepages-64kB": "hugepages-64Ki",
		"hugepages-32768kB": "hugepages-32Mi", "hugepages-16777216kB": "hugepages-16Gi", "hugepages-3072kB": "hugepages-3Mi",
		"hugepages-0kB": "", "hugepages-kB": "", "hugepages-2048": "", "2048kB": "", "hugepages--1kB": "",
	} {
		if got, ok := hugePagesElement(name); got != want || ok != (want != "") {
			t.Errorf("hugePagesElement(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
}

func FuzzFamilyParsers(f *testing.F) {
	f.Add("sev_es 99\nsev 410\n")
	f.Add("hugepages-2048kB")
	f.Add("loop0")
	f.Fuzz(func(t *testing.T, text string) {
		if capacity, ok := parseMiscCapacity([]byte(text), "sev"); ok && strings.Trim(capacity, "0123456789") != "" {
			t.Errorf("capacity %q", capacity)
		}
		if element, ok := hugePagesElement(text); ok && strings.Trim(element, "abcdefghijklmnopqrstuvwxyzKMGTPE0123456789-") != "" {
			t.Errorf("element %q", element)
		}
		if value := pciValue("class", text); len(value) > 4 {
			t.Errorf("class %q", value)
		}
	})
}
