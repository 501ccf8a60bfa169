package compattest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

// MachineTypes are twelve kinds of nodes that images can tell apart.
func MachineTypes(t testing.TB) []*facts.Facts {
	t.Helper()
	types := []*facts.Facts{HPC(), Cloud(), ARM(), GPU()}
	for _, name := range []string{"amd-genoa", "arm64-graviton4", "laptop-alderlake", "riscv64-visionfive2", "vm-milan", "xeon-server"} {
		types = append(types, Captured(t, name))
	}
	change := func(f *facts.Facts, how func(*facts.Features)) {
		features := f.Features()
		how(&features)
		types = append(types, facts.New(f.OS(), f.Arch(), features))
	}
	change(GPU(), func(f *facts.Features) { f.Attributes["gpu.nvidia"]["cuda_version"] = "12.8" })
	change(types[4], func(f *facts.Features) { f.Attributes["kernel.version"]["full"] = "6.12.0" })
	return types
}

// Noisy returns the facts of one of many nodes of a type: with disks, names, modules and
// settings of its own, in an order of its own.
func Noisy(r *rand.Rand, kind *facts.Facts, name string) *facts.Facts {
	f := kind.Features()
	flag := func(set string, n int) {
		for range r.IntN(n) {
			f.Flags[set] = append(f.Flags[set], fmt.Sprint("noise_", r.IntN(30)))
		}
	}
	attribute := func(set, element string, n int) {
		f.Attributes[set] = maps.Clone(f.Attributes[set])
		if f.Attributes[set] == nil {
			f.Attributes[set] = map[string]string{}
		}
		delete(f.Unknown, set)
		f.Attributes[set][element] = fmt.Sprint(r.IntN(n))
	}
	device := func(set string, attributes ...string) {
		one := map[string]string{}
		for _, a := range attributes {
			one[a] = fmt.Sprint(r.IntN(4))
		}
		f.Instances[set] = append(f.Instances[set], one)
		delete(f.Unknown, set)
	}
	flag("kernel.loadedmodule", 20)
	flag("kernel.enabledmodule", 20)
	attribute("system.name", "nodename", 1_000_000)
	f.Attributes["system.name"]["nodename"] += name
	attribute("kernel.cmdline", "root", 1_000_000)
	attribute("kernel.sysctl", "vm.max_map_count", 3)
	attribute("memory.hugepages", "hugepages-2Mi", 5)
	attribute("system.osrelease", "BUILD_ID", 100)
	attribute("system.dmiid", "bios_version", 10)
	attribute("cpu.pstate", "scaling_governor", 3)
	for range 1 + r.IntN(3) {
		device("storage.block", "name", "rotational", "nr_zones")
		device("network.device", "name", "operstate", "speed", "mtu")
		device("network.virtual", "name", "operstate")
		device("usb.device", "vendor", "device", "serial")
	}
	if pci := f.Instances["pci.device"]; len(pci) > 0 { // another card of a kind that is there
		twin := maps.Clone(pci[r.IntN(len(pci))])
		twin["subsystem_device"] = fmt.Sprint(r.IntN(100))
		f.Instances["pci.device"] = append(pci, twin)
	}
	for _, list := range f.Instances {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	for _, gpu := range f.Instances["gpu.device"] {
		gpu["address"] = fmt.Sprintf("0000:%02x:00.0", r.IntN(256))
	}
	return facts.NewOwned(kind.OS(), kind.Arch(), f)
}
