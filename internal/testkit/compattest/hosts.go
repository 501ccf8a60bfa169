package compattest

import "github.com/imagefit/imagefit/pkg/facts"

// The hosts that every sample is evaluated on. On the first two all facts are
// known, on the third only what NFD exports.

// HPC is an Intel machine with NVIDIA GPUs, InfiniBand and Open MPI.
func HPC() *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{
			"cpu.cpuid":            {"AMXFP16", "AVX", "AVX2", "AVX512F", "AVX512FP16", "BMI2", "SSE42", "VMX"},
			"cpu.archspec":         {"x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4", "sapphirerapids"},
			"kernel.loadedmodule":  {"mlx5_core", "nvidia", "vfio", "vfio_iommu_type", "vfio_pci"},
			"kernel.enabledmodule": {"mlx5_core", "nvidia", "vfio", "vfio_iommu_type", "vfio_pci"},
		},
		Attributes: map[string]map[string]string{
			"cpu.model":      {"vendor_id": "Intel", "family": "6", "id": "143"},
			"cpu.topology":   {"hardware_multithreading": "true"},
			"cpu.pstate":     {"status": "passive", "turbo": "false", "scaling": "performance"},
			"kernel.version": {"full": "5.14.0-427.el9.x86_64", "major": "5", "minor": "14", "revision": "0"},
			"kernel.config": {
				"PREEMPT": "y", "HOTPLUG_PCI_PCIE": "y", "MODULES": "y", "MODULE_UNLOAD": "y", "PCI_MMCONFIG": "y",
			},
			"kernel.selinux":   {"enabled": "false"},
			"kernel.cmdline":   {"intel_iommu": "on", "quiet": "true"},
			"memory.numa":      {"is_numa": "true", "node_count": "2"},
			"system.osrelease": {"ID": "rocky", "VERSION_ID": "9.3"},
			"system.libc":      {"implementation": "glibc", "version": "2.34"},
			"mpi.host":         {"implementation": "openmpi", "version": "4.1.6", "abi": "openmpi-40"},
			"gpu.nvidia": {
				"count": "1", "driver_version": "535.104.05", "cuda_version": "12.2", "compute_capability": "8.0",
			},
			"gpu.amd": {"count": "0"},
		},
		Instances: map[string][]map[string]string{
			"pci.device": {
				{"class": "0207", "vendor": "15b3", "device": "020d"},
				{"class": "0380", "vendor": "10de", "device": "20b5"},
			},
			"gpu.device":     {{"vendor": "nvidia", "driver_version": "535.104.05", "architecture": "ampere"}},
			"rdma.device":    {{"name": "mlx5_0"}},
			"memory.nv":      {{"name": "dax0.0", "devtype": "nd_dax"}},
			"network.device": {{"name": "ib0", "sriov_totalvfs": "8", "sriov_numvfs": "2"}},
		},
	})
}

// Cloud is an AMD machine that has neither GPUs nor MPI.
func Cloud() *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{
			"cpu.cpuid":            {"AVX", "AVX2", "BMI2", "SSE42", "SVM"},
			"cpu.archspec":         {"x86_64", "x86_64_v2", "x86_64_v3", "zen", "zen2", "zen3"},
			"kernel.loadedmodule":  {"ena"},
			"kernel.enabledmodule": {"ena"},
		},
		Attributes: map[string]map[string]string{
			"cpu.model":        {"vendor_id": "AMD", "family": "25", "id": "17"},
			"cpu.topology":     {"hardware_multithreading": "false"},
			"cpu.pstate":       {},
			"kernel.version":   {"full": "6.8.0-45-generic", "major": "6", "minor": "8", "revision": "0"},
			"kernel.config":    {"MODULES": "y"},
			"kernel.selinux":   {"enabled": "false"},
			"kernel.cmdline":   {},
			"memory.numa":      {"is_numa": "false", "node_count": "1"},
			"system.osrelease": {"ID": "ubuntu", "VERSION_ID": "22.04"},
			"system.libc":      {"implementation": "glibc", "version": "2.35"},
			"mpi.host":         {},
			"gpu.nvidia":       {"count": "0"},
			"gpu.amd":          {"count": "0"},
		},
		Instances: map[string][]map[string]string{
			"pci.device": {{"class": "0200", "vendor": "1d0f", "device": "ec20"}}, "gpu.device": {}, "rdma.device": {},
			"memory.nv": {}, "network.device": {{"name": "eth0"}},
		},
	})
}

// ARM is a machine of which only features of NFD are known.
func ARM() *facts.Facts {
	return facts.New("linux", "arm64", facts.Features{
		Flags: map[string][]string{
			"cpu.cpuid":           {"ASIMD", "ATOMICS", "FP", "SVE"},
			"cpu.archspec":        {"aarch64", "armv8.1a", "armv8.2a", "neoverse_n1"},
			"kernel.loadedmodule": {"ena"},
		},
		Attributes: map[string]map[string]string{
			"cpu.model":        {"vendor_id": "ARM"},
			"cpu.topology":     {"hardware_multithreading": "false"},
			"kernel.version":   {"full": "6.1.90", "major": "6", "minor": "1", "revision": "90"},
			"kernel.selinux":   {"enabled": "false"},
			"memory.numa":      {"is_numa": "false", "node_count": "1"},
			"system.osrelease": {"ID": "amzn", "VERSION_ID": "2023"},
		},
		Instances: map[string][]map[string]string{
			"pci.device": {}, "network.device": {{"name": "eth0"}},
		},
	})
}
