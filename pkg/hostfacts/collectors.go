package hostfacts

import (
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

// cpuCollectors collect what NFD knows of the CPU.
func cpuCollectors() []collector {
	return []collector{
		{collect: collectCPUID, sets: []facts.Set{
			{Name: "cpu.cpuid", Kind: facts.Flags, NFD: true, Origin: "/proc/cpuinfo",
				From: "CPUID on amd64, else `/proc/cpuinfo`",
				Elements: "* (what the CPU can do, as NFD spells it: `AVX2`, `SSE42`, on arm64 `ASIMD`; and " +
					"`X86_64_V1` to `X86_64_V4`)", Note: "attribute `AVX10_VERSION`"},
			{Name: "cpu.x86_64", Origin: "/proc/cpuinfo", From: "the flags of `cpu.cpuid`", Elements: "level (1 to 4)",
				Note: "empty on other architectures"},
		}},
		{collect: collectCPUModel, sets: []facts.Set{
			{Name: "cpu.model", NFD: true, Origin: "/proc/cpuinfo", From: "CPUID, `/proc/cpuinfo`",
				Elements: "vendor_id (`Intel`, `AMD`, `ARM` ...), family, id (decimal), hypervisor (`none`, " +
					"`kvm`, `vmware`, `msvm` ...)"},
		}},
		{collect: collectTopology, sets: []facts.Set{
			{Name: "cpu.topology", NFD: true, Origin: "/sys/devices/system/cpu",
				Elements: "hardware_multithreading (true, false), socket_count"},
		}},
		{collect: collectPState, sets: []facts.Set{
			{Name: "cpu.pstate", NFD: true, Origin: "/sys/devices/system/cpu/intel_pstate",
				Elements: "status (active, passive), turbo (true, false), scaling_governor, scaling (the same)",
				Note:     "empty without the intel_pstate driver"},
		}},
		{collect: collectCState, sets: []facts.Set{
			{Name: "cpu.cstate", NFD: true, Origin: "/sys/module/intel_idle/parameters/max_cstate",
				Elements: "enabled (true, false)", Note: "empty without the intel_idle driver"},
		}},
		{collect: collectRDT, sets: []facts.Set{
			{Name: "cpu.rdt", NFD: true, Origin: "/proc/cpuinfo", From: "`/proc/cpuinfo`, `/sys/fs/resctrl`",
				Elements: "RDTMON (true, or absent), RDTCMT (true, or absent), RDTMBM (true, or absent), RDTL3CA " +
					"(true, or absent), RDTL2CA (true, or absent), RDTMBA (true, or absent), RDTL3CA_NUM_CLOSID " +
					"(classes beside the default one; needs resctrl mounted)"},
		}},
		{collect: collectSecurity, sets: []facts.Set{
			{Name: "cpu.security", NFD: true, Origin: "/sys/module",
				From: "`/sys/module`, CPUID, `/sys/fs/cgroup/misc.capacity`, `/sys/firmware/uv`",
				Elements: "sgx.enabled (true, or absent), sgx.epc (bytes), tdx.enabled (true, or absent), " +
					"tdx.protected (true, or absent), tdx.total_keys (a count), sev.enabled (true, or absent), " +
					"sev.es.enabled (true, or absent), sev.snp.enabled (true, or absent), sev.asids (a count), " +
					"sev.encrypted_state_ids (a count), se.enabled (true, or absent)"},
		}},
		{collect: collectSST, sets: []facts.Set{
			{Name: "cpu.sst", NFD: true, Origin: "/sys/devices/system/cpu/cpufreq",
				From: "`/sys/devices/system/cpu/cpufreq`, CPUID", Elements: "bf.enabled (true, or absent)"},
		}},
		{collect: collectCoprocessor, sets: []facts.Set{
			{Name: "cpu.coprocessor", NFD: true, Origin: "/sys/devices/vio", Elements: "nx_gzip (true, or absent)"},
		}},
	}
}

// kernelCollectors collect what NFD knows of the kernel and of memory.
func kernelCollectors() []collector {
	return []collector{
		{collect: collectKernelVersion, sets: []facts.Set{
			{Name: "kernel.version", NFD: true, Origin: "/proc/sys/kernel/osrelease",
				Elements: "full, major, minor, revision"},
		}},
		{collect: collectSELinux, sets: []facts.Set{
			{Name: "kernel.selinux", NFD: true, Origin: "/sys/fs/selinux/enforce",
				Elements: "enabled (true when enforcing, else false)"},
		}},
		{collect: collectKVM, sets: []facts.Set{
			{Name: "kernel.kvm", NFD: true, Origin: "/sys/devices/virtual/misc/kvm", Elements: "enabled (true, false)"},
		}},
		{collect: collectLoadedModules, sets: []facts.Set{
			{Name: "kernel.loadedmodule", Kind: facts.Flags, NFD: true, Origin: "/proc/modules",
				Elements: "* (modules that are loaded)"},
		}},
		{collect: collectEnabledModules, sets: []facts.Set{
			{Name: "kernel.enabledmodule", Kind: facts.Flags, NFD: true, Origin: "/proc/modules",
				From: "`/proc/modules`, `modules.builtin`", Elements: "* (modules that are loaded or built in)"},
		}},
		{collect: collectKernelConfig, sets: []facts.Set{
			{Name: "kernel.config", NFD: true, Origin: "/proc/config.gz",
				From:     "`/proc/config.gz`, `/boot/config-*`, `/lib/modules/*/config` ...",
				Elements: "* (every option that is set, without `CONFIG_`: `y`, `m`, or its value)"},
		}},
		{collect: collectNUMA, sets: []facts.Set{
			{Name: "memory.numa", NFD: true, Origin: "/sys/devices/system/node",
				Elements: "is_numa (true, false), node_count"},
		}},
		{collect: collectSwap, sets: []facts.Set{
			{Name: "memory.swap", NFD: true, Origin: "/proc/swaps", Elements: "enabled (true, false)"},
		}},
		{collect: collectHugePages, sets: []facts.Set{
			{Name: "memory.hugepages", NFD: true, Origin: "/sys/kernel/mm/hugepages",
				Elements: "enabled (true when any are set aside, else false), hugepages-* (how many of a size: " +
					"`hugepages-2Mi`, `hugepages-1Gi`)"},
		}},
		{collect: collectNVDIMM, sets: []facts.Set{
			{Name: "memory.nv", Kind: facts.Instances, NFD: true, Origin: "/sys/bus/nd/devices",
				Elements: "name, devtype, mode"},
		}},
	}
}

// deviceCollectors collect what NFD knows of devices and of the system.
func deviceCollectors() []collector {
	return []collector{
		{collect: collectNetwork, sets: []facts.Set{
			{Name: "network.device", Kind: facts.Instances, NFD: true, Origin: "/sys/class/net",
				Elements: "name, operstate, speed (Mbit/s), mtu (bytes), sriov_numvfs, sriov_totalvfs",
				Note:     "interfaces of hardware"},
			{Name: "network.virtual", Kind: facts.Instances, NFD: true, Origin: "/sys/class/net",
				Elements: "name, operstate, speed (Mbit/s), mtu (bytes)", Note: "all other interfaces"},
		}},
		{collect: collectPCI, sets: []facts.Set{
			{Name: "pci.device", Kind: facts.Instances, NFD: true, Origin: "/sys/bus/pci/devices",
				Elements: "class (4 hexadecimal digits), vendor, device, subsystem_vendor, subsystem_device, " +
					"sriov_totalvfs, iommu_group/type, iommu/intel-iommu/version"},
		}},
		{collect: collectUSB, sets: []facts.Set{
			{Name: "usb.device", Kind: facts.Instances, NFD: true, Origin: "/sys/bus/usb/devices",
				Elements: "class, vendor, device, serial",
				Note:     "one for each interface where the device has no class of its own"},
		}},
		{collect: collectBlock, sets: []facts.Set{
			{Name: "storage.block", Kind: facts.Instances, NFD: true, Origin: "/sys/block",
				Elements: "name, dax, rotational (0, 1), nr_zones, zoned"},
		}},
		{collect: collectOSRelease, sets: []facts.Set{
			{Name: "system.osrelease", NFD: true, Origin: "/etc/os-release",
				From:     "`/etc/os-release`, `/usr/lib/os-release`",
				Elements: "* (every key of the file; `VERSION_ID.major`, `VERSION_ID.minor`)"},
		}},
		{collect: collectDMI, sets: []facts.Set{
			{Name: "system.dmiid", NFD: true, Origin: "/sys/class/dmi/id",
				Elements: "* (`sys_vendor`, `product_name`, `bios_version` ...; no serial numbers)",
				Note:     "empty without DMI"},
		}},
		{collect: collectNodeName, sets: []facts.Set{
			{Name: "system.name", NFD: true, Origin: "/proc/sys/kernel/hostname", Elements: "nodename (the host name)"},
		}},
		{collect: collectLocal, sets: []facts.Set{
			{Name: "local.label", NFD: true, Origin: "/" + operator.FeaturesDir, From: "NFD's `features.d`",
				Elements: "* (the labels of feature files, see below)"},
			{Name: "local.feature", NFD: true, Origin: "/" + operator.FeaturesDir, From: "NFD's `features.d`",
				Elements: "* (the features of feature files, see below)"},
		}},
	}
}

// nodeCollectors collect what NFD does not know of CPU, kernel and system.
func nodeCollectors() []collector {
	return []collector{
		{collect: collectArchspec, sets: []facts.Set{
			{Name: "cpu.archspec", Kind: facts.Flags, Origin: "/proc/cpuinfo",
				Elements: "* (the targets of archspec that the CPU runs: `zen3`, `zen2`, `haswell`, `x86_64_v3` ...)",
				Note:     "unknown where a feature is missing that not every program of the target uses"},
			{Name: "cpu.microarchitecture", Origin: "/proc/cpuinfo",
				Elements: "name (archspec's), vendor, family (`x86_64`, `aarch64` ...), generation (on POWER)"},
			{Name: "cpu.arm64", Origin: "/proc/cpuinfo", Elements: "level (`8.2` ...)",
				Note: "empty on other architectures"},
		}},
		{collect: collectHybrid, sets: []facts.Set{
			{Name: "cpu.hybrid", Kind: facts.Flags, Origin: "/sys/devices", Elements: "cpu_core, cpu_atom",
				Note: "the kinds of cores of Intel's hybrid CPUs; empty on others"},
		}},
		{collect: collectRISCV, sets: []facts.Set{
			{Name: "cpu.riscv64", Origin: "/proc/cpuinfo", Elements: "isa (as the kernel prints it, of all harts together), " +
				"profile (20, 22 or 23: the highest of RVA20U64, RVA22U64 and RVA23U64)", Note: "empty on other architectures"},
		}},
		{collect: collectSysctl, sets: []facts.Set{
			{Name: "kernel.sysctl", Origin: "/proc/sys", Elements: "* (chosen settings, such as `vm.max_map_count`)"},
		}},
		{collect: collectCommandLine, sets: []facts.Set{
			{Name: "kernel.cmdline", Origin: "/proc/cmdline",
				Elements: "* (every parameter and its value, `true` for one without; values that may identify " +
					"the node are unknown)"},
		}},
		{collect: collectLibC, sets: []facts.Set{
			{Name: "system.libc", Origin: "/usr/lib", From: "the library's own data",
				Elements: "implementation (glibc, musl), version"},
		}},
		{collect: collectCgroup, sets: []facts.Set{
			{Name: "system.cgroup", Origin: "/sys/fs/cgroup",
				Elements: "version (v1, v2, hybrid), controllers (with commas)"},
		}},
		{collect: collectVirtualization, sets: []facts.Set{
			{Name: "system.virtualization", Origin: "/proc/cpuinfo",
				From:     "CPUID, `/sys/class/dmi/id`, `/sys/hypervisor`",
				Elements: "type (`none`, `kvm`, `vmware`, `xen`, `microsoft` ...)"},
		}},
	}
}

// hpcCollectors collect what NFD does not know of accelerators, fabrics and their libraries.
func hpcCollectors() []collector {
	return []collector{
		{lenient: true, collect: collectGPUs, sets: []facts.Set{
			{Name: "gpu.device", Kind: facts.Instances, Origin: "/sys/bus/pci/devices",
				From: "`/sys/bus/pci/devices`, the drivers' files",
				Elements: "vendor (`nvidia`, `amd`, `intel`), vendor_id, device_id, class, address, model, brand, " +
					"memory_mib (MiB), architecture, compute_capability, gfx_target, driver, driver_version, " +
					"cuda_version, integrated (true, false)", Note: "each as far as it is known"},
			{Name: "gpu.nvidia", Origin: "/sys/bus/pci/devices",
				From: "and `/proc/driver/nvidia`, `/sys/module/nvidia`",
				Elements: "count, driver_version, cuda_version (the newest the driver supports), kernel_module " +
					"(open, proprietary), compute_capability (the lowest of all GPUs), memory_mib (the least of " +
					"all GPUs), architecture, model, brand (`tesla`, `nvidia`, `geforcertx` ...)"},
			{Name: "gpu.amd", Origin: "/sys/bus/pci/devices", From: "and `/sys/class/kfd`, `/opt/rocm`",
				Elements: "count, driver_version, gfx_target, gfx_targets (with commas), rocm_version, rocm_driver (the release that the kernel driver is of), model, " +
					"memory_mib (the least of all GPUs)"},
			{Name: "gpu.gfx", Kind: facts.Flags, Origin: "/sys/class/kfd",
				Elements: "* (what AMD GPUs run code for: `gfx942`, and LLVM's generic targets such as `gfx9-4-generic`)",
				Note:     "unknown what only some of them run"},
			{Name: "gpu.intel", Origin: "/sys/bus/pci/devices", From: "and `/sys/module`",
				Elements: "count, discrete_count, driver, driver_version, model, memory_mib (the least of all GPUs)"},
		}},
		{lenient: true, collect: collectRDMADevices, sets: []facts.Set{
			{Name: "rdma.device", Kind: facts.Instances, Origin: "/sys/class/infiniband",
				Elements: "name, node_type, driver, port, link_layer, state, rate_gbps (Gbit/s)",
				Note:     "one for each port"},
			{Name: "rdma.fabric", Kind: facts.Flags, Origin: "/sys/class/infiniband",
				Elements: "infiniband, roce, iwarp, efa, cxi, opa"},
		}},
		{collect: collectRDMAHost, sets: []facts.Set{
			{Name: "rdma.host", Origin: "/sys/bus/pci/devices", From: "`/sys/bus/pci/devices`, `/proc/modules`",
				Elements: "capable (true, false), available (true, false)", Note: "by the rules of NFD's labels"},
		}},
		{collect: collectMPI, sets: []facts.Set{
			{Name: "mpi.installation", Kind: facts.Instances, Origin: "/usr/lib, /usr/local, /opt",
				From:     "`/usr/lib`, `/usr/local`, `/opt`",
				Elements: "implementation, version, abi, prefix, library"},
			{Name: "mpi.host", Origin: "/usr/lib, /usr/local, /opt", From: "the same",
				Elements: "implementation, version, abi", Note: "what all installations share"},
			{Name: "libfabric.installation", Kind: facts.Instances, Origin: "/usr/lib, /usr/local, /opt",
				From: "the same", Elements: "prefix, version, file_version"},
		}},
	}
}
