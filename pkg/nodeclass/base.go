package nodeclass

// selection is what is kept of a set of facts.
type selection struct {
	set string
	// only lists the elements that are kept, or the attributes of instances; none means
	// all, but for those of except.
	only, except []string
}

// base is what is part of every class, whatever the images are: what distinguishes
// machine types and what is installed on them. All else changes from one boot to the
// next, or tells who a node is, and is part of a class only where an image asks for it
// (Dimensions).
func base() []selection {
	return []selection{
		{set: "cpu.cpuid"}, {set: "cpu.x86_64"}, {set: "cpu.model"}, {set: "cpu.topology"},
		{set: "cpu.security"}, {set: "cpu.sst"}, {set: "cpu.coprocessor"},
		{set: "cpu.rdt", except: []string{"RDTL3CA_NUM_CLOSID"}}, // while resctrl is mounted
		{set: "cpu.archspec"}, {set: "cpu.microarchitecture"}, {set: "cpu.arm64"}, {set: "cpu.hybrid"}, {set: "cpu.riscv64"},
		{set: "kernel.version"},
		{set: "system.osrelease", only: []string{"ID", "ID_LIKE", "VERSION_ID", "VERSION_ID.major", "VERSION_ID.minor"}},
		{set: "system.libc"},
		{set: "pci.device", only: []string{"class", "vendor", "device"}},
		{set: "gpu.device", except: []string{"address"}},
		{set: "gpu.nvidia"}, {set: "gpu.amd"}, {set: "gpu.gfx"}, {set: "gpu.intel"},
		{set: "rdma.fabric"},
		{set: "rdma.device", only: []string{"node_type", "driver", "link_layer"}},
		{set: "rdma.host", only: []string{"capable"}}, // available depends on loaded modules
		{set: "mpi.host"},
		{set: "mpi.installation", only: []string{"implementation", "version", "abi"}},
		{set: "libfabric.installation", only: []string{"version"}},
	}
}
