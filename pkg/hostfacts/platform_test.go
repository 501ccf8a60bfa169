package hostfacts

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestCommandLineIsSplitAndRedacted(t *testing.T) {
	t.Parallel()
	const set = "kernel.cmdline"
	line := func(s string) map[string]string { return map[string]string{"proc/cmdline": s} }
	tests := []lookupCase{
		{name: "a value", files: line("isolcpus=2-5 quiet\n"), element: "isolcpus", want: facts.Present, value: "2-5"},
		{name: "a bare word is true", files: line("isolcpus=2-5 quiet\n"), element: "quiet", want: facts.Present, value: "true"},
		{name: "not there", files: line("quiet\n"), element: "nosmt", want: facts.Absent},
		{name: "an empty value", files: line("crashkernel=\n"), element: "crashkernel", want: facts.Present},
		{name: "the last one counts", files: line("iommu=off iommu=pt\n"), element: "iommu", want: facts.Present, value: "pt"},
		{name: "in quotes", files: line(`dyndbg="file a.c +p" quiet`), element: "dyndbg", want: facts.Present, value: "file a.c +p"},
		{name: "quotes around all", files: line(`"a.b=c d" quiet`), element: "a.b", want: facts.Present, value: "c d"},
		{name: "what is for init is not the kernel's", files: line("quiet -- single=1\n"), element: "single", want: facts.Absent},
		{name: "the root disk", files: line("root=UUID=0f-1 quiet\n"), element: "root", want: facts.Unknown, cause: "identify"},
		{name: "a group of keys", files: line("rd.luks.uuid=x\n"), element: "rd.luks.uuid", want: facts.Unknown, cause: "identify"},
		{name: "an address", files: line("gw=10.1.2.3\n"), element: "gw", want: facts.Unknown, cause: "identify"},
		{name: "an address with a port", files: line("log=10.1.2.3:514,x\n"), element: "log", want: facts.Unknown, cause: "identify"},
		{name: "an IPv6 address", files: line("gw=[2001:db8::1]\n"), element: "gw", want: facts.Unknown, cause: "identify"},
		{name: "a UUID", files: line("x=PARTUUID=01234567-89ab-cdef-0123-456789abcdef\n"), element: "x", want: facts.Unknown, cause: "identify"},
		{name: "a hardware address", files: line("nic=01-00:11:22:aa:bb:cc\n"), element: "nic", want: facts.Unknown, cause: "identify"},
		{name: "a URL", files: line("conf=https://example.com/x\n"), element: "conf", want: facts.Unknown, cause: "identify"},
		{name: "a version is not an address", files: line("ver=6.1.0\n"), element: "ver", want: facts.Present, value: "6.1.0"},
		{name: "passthrough is not a password", files: line("iommu.passthrough=1\n"), element: "iommu.passthrough", want: facts.Present, value: "1"},
		{name: "no proc", files: map[string]string{}, element: "quiet", want: facts.Unknown, cause: "proc/cmdline"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.set = set
			tt.check(t)
		})
	}
}

// commandLineFacts says what a command line becomes, with private values left
// out.
func commandLineFacts(line string) map[string]string {
	facts := map[string]string{}
	for _, p := range parseCommandLine(line) {
		facts[p.key] = p.value
		if p.isPrivate() {
			facts[p.key] = "left out"
		}
	}
	return facts
}

func FuzzCommandLine(f *testing.F) {
	f.Add(`BOOT_IMAGE=/vmlinuz root=UUID=01234567-89ab-cdef-0123-456789abcdef ro dyndbg="file a.c +p" quiet -- x`)
	f.Add(`"a b"=c "--" x="`)
	f.Add("a=10.1.2.3 a b=[::1]:80")
	f.Fuzz(func(t *testing.T, line string) {
		kept := RedactCommandLine(line)
		before, after := commandLineFacts(line), commandLineFacts(kept)
		if !maps.Equal(before, after) {
			t.Errorf("%q says %q, and without what is private, %q, it says %q", line, before, kept, after)
		}
		for _, p := range parseCommandLine(kept) {
			if p.isPrivate() && p.value != redacted {
				t.Errorf("%q kept %q", kept, p.value)
			}
		}
	})
}

func TestSysctlIsAbsentUnlessHidden(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"proc/sys/kernel/numa_balancing": "1\n", "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
		"proc/sys/kernel/yama/ptrace_scope": "1\n", "proc/sys/vm/max_map_count/x": "",
	}
	tests := []lookupCase{
		{name: "a value", files: files, element: "kernel.numa_balancing", want: facts.Present, value: "1"},
		{name: "one more level", files: files, element: "kernel.yama.ptrace_scope", want: facts.Present, value: "1"},
		{name: "several numbers", files: files, element: "net.ipv4.tcp_rmem", want: facts.Present, value: "4096 131072 6291456"},
		{name: "not in this kernel", files: files, element: "kernel.unprivileged_userns_clone", want: facts.Absent},
		{name: "hidden by the network namespace", files: files, element: "net.core.rmem_max", want: facts.Unknown, cause: "network namespace"},
		{name: "not readable", files: files, element: "vm.max_map_count", want: facts.Unknown, cause: "not a regular file"},
		{name: "no proc", files: nil, element: "vm.swappiness", want: facts.Unknown, cause: "proc/sys"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.set = "kernel.sysctl"
			tt.check(t)
		})
	}
}

func TestCgroupTellsVersionAndControllers(t *testing.T) {
	t.Parallel()
	v2 := map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n", "sys/fs/cgroup/system.slice/x": ""}
	v1 := map[string]string{"sys/fs/cgroup/memory/tasks": "", "sys/fs/cgroup/cpu,cpuacct/tasks": "", "sys/fs/cgroup/cpu": "-> cpu,cpuacct", "sys/fs/cgroup/systemd/tasks": ""}
	hybrid := maps.Clone(v1)
	hybrid["sys/fs/cgroup/unified/cgroup.controllers"] = "hugetlb\n"
	empty := map[string]string{"sys/fs/selinux/enforce": "0"}
	tests := []lookupCase{
		{name: "v2", files: v2, element: "version", want: facts.Present, value: "v2"},
		{name: "v2's controllers", files: v2, element: "controllers", want: facts.Present, value: "cpu,cpuset,io,memory,pids"},
		{name: "v1", files: v1, element: "version", want: facts.Present, value: "v1"},
		{name: "v1's controllers", files: v1, element: "controllers", want: facts.Present, value: "cpu,cpuacct,memory"},
		{name: "hybrid", files: hybrid, element: "version", want: facts.Present, value: "hybrid"},
		{name: "hybrid's controllers", files: hybrid, element: "controllers", want: facts.Present, value: "cpu,cpuacct,hugetlb,memory"},
		{name: "not mounted", files: empty, element: "version", want: facts.Absent},
		{name: "no sys", files: nil, element: "version", want: facts.Unknown, cause: "sys/fs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.set = "system.cgroup"
			tt.check(t)
		})
	}
}

func TestVirtualizationIsToldByCPUAndFirmware(t *testing.T) {
	t.Parallel()
	const metal = "processor : 0\nvendor_id : GenuineIntel\nflags : fpu lm sse\n"
	const guest = "processor : 0\nvendor_id : GenuineIntel\nflags : fpu lm sse hypervisor\n"
	const arm = "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0c\n"
	machine := func(cpu, vendor, product string) map[string]string {
		files := map[string]string{"proc/cpuinfo": cpu}
		if vendor != "" {
			files["sys/class/dmi/id/sys_vendor"] = vendor + "\n"
			files["sys/class/dmi/id/product_name"] = product + "\n"
		}
		return files
	}
	with := func(files map[string]string, name, content string) map[string]string {
		files[name] = content
		return files
	}
	tests := []struct {
		name  string
		files map[string]string
		want  string
		cause string
	}{
		{"bare metal", machine(metal, "Dell Inc.", "PowerEdge R750"), "none", ""},
		{"bare metal in a cloud", machine(metal, "Amazon EC2", "m5.metal"), "none", ""},
		{"Nitro", machine(guest, "Amazon EC2", "m5.large"), "kvm", ""},
		{"Google", machine(guest, "Google", "Google Compute Engine"), "kvm", ""},
		{"QEMU", machine(guest, "QEMU", "Standard PC (Q35 + ICH9, 2009)"), "kvm", ""},
		{"VMware", machine(guest, "VMware, Inc.", "VMware20,1"), "vmware", ""},
		{"Hyper-V and Azure", machine(guest, "Microsoft Corporation", "Virtual Machine"), "microsoft", ""},
		{"VirtualBox", machine(guest, "innotek GmbH", "VirtualBox"), "oracle", ""},
		{"Xen guest", machine(guest, "Xen", "HVM domU"), "xen", ""},
		{"Xen's first domain", with(machine(metal, "Dell Inc.", "PowerEdge"), "sys/hypervisor/type", "xen\n"), "xen", ""},
		{"a strange firmware below a hypervisor", machine(guest, "ACME", "Cloud"), "", "ACME"},
		{"no firmware below a hypervisor", machine(guest, "", ""), "", "sys_vendor"},
		{"Graviton", machine(arm, "Amazon EC2", "c7g.large"), "kvm", ""},
		{"Graviton as bare metal", machine(arm, "Amazon EC2", "c7g.metal"), "none", ""},
		{"an arm64 server does not say", machine(arm, "HPE", "ProLiant RL300"), "", "HPE"},
		{"arm64 with a device tree", with(machine(arm, "", ""), "proc/device-tree/hypervisor/compatible", "linux,kvm\x00"), "kvm", ""},
		{"no cpuinfo", map[string]string{"proc/version": ""}, "", "proc/cpuinfo"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := facts.Present
			if tt.want == "" {
				want = facts.Unknown
			}
			lookupCase{files: tt.files, set: "system.virtualization", element: "type", want: want, value: tt.want, cause: tt.cause}.check(t)
		})
	}
}

func TestRDMAPortsAndFabricsAreListed(t *testing.T) {
	t.Parallel()
	const dir = "sys/class/infiniband/"
	tests := []struct {
		name, fabric string
		files        map[string]string
		want         map[string]string // of the first instance
	}{
		{
			"EFA", "efa",
			map[string]string{dir + "efa_0/node_type": "7: unspecified\n", dir + "efa_0/device/driver": "-> ../drivers/efa", dir + "efa_0/ports/1/link_layer": "Unspecified\n", dir + "efa_0/ports/1/rate": "100 Gb/sec (4X EDR)\n"},
			map[string]string{"name": "efa_0", "driver": "efa", "node_type": "unspecified", "port": "1", "link_layer": "unspecified", "rate_gbps": "100"},
		},
		{
			"iWARP", "iwarp",
			map[string]string{dir + "iw0/node_type": "4: RNIC\n", dir + "iw0/ports/1/link_layer": "Ethernet\n", dir + "iw0/ports/1/state": "4: ACTIVE\n"},
			map[string]string{"name": "iw0", "node_type": "rnic", "port": "1", "link_layer": "ethernet", "state": "active"},
		},
		{
			"half a gigabit more", "infiniband",
			map[string]string{dir + "m/node_type": "1: CA\n", dir + "m/ports/1/link_layer": "InfiniBand\n", dir + "m/ports/1/rate": "2.5 Gb/sec (1X SDR)\n"},
			map[string]string{"name": "m", "node_type": "ca", "port": "1", "link_layer": "infiniband", "rate_gbps": "2.5"},
		},
		{
			"no port", "",
			map[string]string{dir + "m/node_type": "1: CA\n"},
			map[string]string{"name": "m", "node_type": "ca"},
		},
		{
			"a rate that is not a number", "",
			map[string]string{dir + "m/ports/1/rate": "fast\n", dir + "m/ports/x/rate": "1 Gb/sec\n"},
			map[string]string{"name": "m", "port": "1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			known := Collect(context.Background(), tree(t, tt.files))
			got, state := known.Instances("rdma.device")
			if state.State != facts.Present || len(got) != 1 || !maps.Equal(got[0], tt.want) {
				t.Errorf("got %v %q %v, want %v", state.State, state.Cause, got, tt.want)
			}
			if tt.fabric != "" && known.Lookup("rdma.fabric", tt.fabric).State != facts.Present {
				t.Errorf("no fabric %s", tt.fabric)
			}
		})
	}
}

func TestRDMAFactsArePresentAbsentOrUnknown(t *testing.T) {
	t.Parallel()
	mellanox := map[string]string{
		"sys/bus/pci/devices/0000:01:00.0/class": "0x020700", "sys/bus/pci/devices/0000:01:00.0/vendor": "0x15b3",
		"sys/bus/pci/devices/0000:01:00.0/device": "0x1021", "sys/class/net/lo/mtu": "1", "proc/modules": "ib_uverbs 1\n",
	}
	for _, tt := range []lookupCase{
		{name: "capable", files: mellanox, set: "rdma.host", element: "capable", want: facts.Present, value: "true"},
		{name: "half of the modules", files: mellanox, set: "rdma.host", element: "available", want: facts.Present, value: "false"},
		{name: "no fabric", files: mellanox, set: "rdma.fabric", element: "infiniband", want: facts.Absent},
		{name: "no sys", files: nil, set: "rdma.fabric", element: "infiniband", want: facts.Unknown, cause: "sys/class"},
		{name: "no PCI", files: nil, set: "rdma.host", element: "capable", want: facts.Unknown, cause: "sys/bus"},
		{name: "no modules", files: nil, set: "rdma.host", element: "available", want: facts.Unknown, cause: "proc/modules"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.check(t)
		})
	}
}

func FuzzRDMATexts(f *testing.F) {
	f.Add("200 Gb/sec (4X HDR)")
	f.Add("4: ACTIVE")
	f.Fuzz(func(t *testing.T, text string) {
		if rate := gigabits(text); strings.ContainsAny(rate, " \n") {
			t.Errorf("rate %q", rate)
		}
		afterColon(text)
	})
}
