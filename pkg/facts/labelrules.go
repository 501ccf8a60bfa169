package facts

import (
	"slices"
	"strconv"
	"strings"
)

// labelRule derives labels from facts.
type labelRule struct {
	label string // a name, with a star for what each returns
	each  func(f *Facts, put func(star, value string))
	// look returns the fact that a label depends on.
	look func(f *Facts, star string) Fact
}

// match returns the part of name that matches the star.
func (r labelRule) match(name string) (string, bool) {
	before, after, hasStar := strings.Cut(r.label, "*")
	if !hasStar {
		return "", name == r.label
	}
	if len(name) <= len(before)+len(after) || !strings.HasPrefix(name, before) || !strings.HasSuffix(name, after) {
		return "", false
	}
	return name[len(before) : len(name)-len(after)], true
}

// labelRules is the one table of label names and the facts they depend on.
func labelRules() []labelRule {
	return []labelRule{
		elementLabels("cpu-cpuid.*", "cpu.cpuid", asIs),
		elementLabels("cpu-model.*", "cpu.model", asIs),
		elementLabels("cpu-cstate.*", "cpu.cstate", asIs),
		elementLabels("cpu-pstate.*", "cpu.pstate", asIs),
		elementLabels("cpu-rdt.*", "cpu.rdt", asIs),
		elementLabels("cpu-security.*", "cpu.security", allBut("tdx.total_keys", "sgx.epc", "sev.encrypted_state_ids", "sev.asids")),
		elementLabels("cpu-power.sst_*", "cpu.sst", asIs),
		valueLabel("cpu-hardware_multithreading", "cpu.topology", "hardware_multithreading"),
		flagsLabel("cpu-cpu_core", "cpu.hybrid", "cpu_core"),
		flagsLabel("cpu-cpu_atom", "cpu.hybrid", "cpu_atom"),
		switchLabel("cpu-coprocessor.nx_gzip", "cpu.coprocessor", "nx_gzip"),
		elementLabels("kernel-version.*", "kernel.version", asIs),
		elementLabels("kernel-config.*", "kernel.config", enabledOption),
		switchLabel("kernel-selinux.enabled", "kernel.selinux", "enabled"),
		switchLabel("memory-numa", "memory.numa", "is_numa"),
		switchLabel("memory-swap", "memory.swap", "enabled"),
		deviceLabel("memory-nv.present", "memory.nv", func(map[string]string) bool { return true }),
		deviceLabel("memory-nv.dax", "memory.nv", having("devtype", "nd_dax")),
		deviceLabel("network-sriov.capable", "network.device", havingSome("sriov_totalvfs")),
		deviceLabel("network-sriov.configured", "network.device", havingSome("sriov_numvfs")),
		deviceLabels("pci-*.present", "pci.device", pciLabels),
		deviceLabels("pci-*.sriov.capable", "pci.device", func(device map[string]string) []string {
			if _, ok := device["sriov_totalvfs"]; !ok {
				return nil
			}
			return pciLabels(device)
		}),
		deviceLabels("usb-*.present", "usb.device", func(device map[string]string) []string {
			return []string{device["class"] + "_" + device["vendor"] + "_" + device["device"]}
		}),
		deviceLabel("storage-nonrotationaldisk", "storage.block", having("rotational", "0")),
		elementLabels("system-os_release.*", "system.osrelease", oneOf("ID", "VERSION_ID", "VERSION_ID.major", "VERSION_ID.minor")),
		deviceLabel("custom-rdma.capable", "pci.device", having("vendor", "15b3")),
		deviceLabel("rdma.capable", "pci.device", having("vendor", "15b3")),
		flagsLabel("custom-rdma.available", "kernel.loadedmodule", "ib_uverbs", "rdma_ucm"),
		flagsLabel("rdma.available", "kernel.loadedmodule", "ib_uverbs", "rdma_ucm"),
	}
}

// elementLabels derives a label from every element of a set for which value
// returns true.
func elementLabels(label, set string, value func(element, value string) (string, bool)) labelRule {
	return labelRule{
		label: label,
		each: func(f *Facts, put func(star, value string)) {
			for flag := range f.flags[set] {
				put(flag, "true")
			}
			for element, has := range f.attributes[set] {
				if shown, ok := value(element, has); ok {
					put(element, shown)
				}
			}
		},
		look: func(f *Facts, star string) Fact { return f.Lookup(set, star) },
	}
}

func asIs(_, value string) (string, bool) { return value, true }

func allBut(elements ...string) func(element, value string) (string, bool) {
	return func(element, value string) (string, bool) { return value, !slices.Contains(elements, element) }
}

func oneOf(elements ...string) func(element, value string) (string, bool) {
	return func(element, value string) (string, bool) { return value, slices.Contains(elements, element) }
}

// enabledOption gives an option the value true, built in or as a module.
func enabledOption(_, value string) (string, bool) {
	if value == "y" || value == "m" {
		return "true", true
	}
	return value, true
}

// switchLabel derives a label from an element that is true.
func switchLabel(label, set, element string) labelRule {
	return labelRule{
		label: label,
		each: func(f *Facts, put func(star, value string)) {
			if f.attributes[set][element] == "true" {
				put("", "true")
			}
		},
		look: func(f *Facts, _ string) Fact { return f.Lookup(set, element) },
	}
}

// valueLabel derives a label from one element, with its value.
func valueLabel(label, set, element string) labelRule {
	return labelRule{
		label: label,
		each: func(f *Facts, put func(star, value string)) {
			if value, ok := f.attributes[set][element]; ok {
				put("", value)
			}
		},
		look: func(f *Facts, _ string) Fact { return f.Lookup(set, element) },
	}
}

// flagsLabel derives a label from flags that are all present.
func flagsLabel(label, set string, flags ...string) labelRule {
	look := func(f *Facts, _ string) Fact {
		worst := Fact{State: Present}
		for _, flag := range flags {
			switch fact := f.Lookup(set, flag); fact.State {
			case Absent:
				return fact // regardless of the others
			case Unknown:
				worst = fact
			}
		}
		return worst
	}
	return labelRule{
		label: label,
		each: func(f *Facts, put func(star, value string)) {
			if look(f, "").State == Present {
				put("", "true")
			}
		},
		look: look,
	}
}

// deviceLabel derives a label from a set with an instance that matches.
func deviceLabel(label, set string, matches func(map[string]string) bool) labelRule {
	return deviceLabels(label, set, func(device map[string]string) []string {
		if matches(device) {
			return []string{""}
		}
		return nil
	})
}

// deviceLabels derives the labels that stars returns for each instance.
func deviceLabels(label, set string, stars func(map[string]string) []string) labelRule {
	return labelRule{
		label: label,
		each: func(f *Facts, put func(star, value string)) {
			for _, device := range f.instances[set] {
				for _, star := range stars(device) {
					put(star, "true")
				}
			}
		},
		look: func(f *Facts, _ string) Fact {
			_, fact := f.Instances(set)
			return fact
		},
	}
}

func having(attribute, value string) func(map[string]string) bool {
	return func(device map[string]string) bool { return device[attribute] == value }
}

func havingSome(attribute string) func(map[string]string) bool {
	return func(device map[string]string) bool {
		n, err := strconv.Atoi(device[attribute])
		return err == nil && n > 0
	}
}

// pciLabels names a device as NFD does by default, <class>_<vendor>, and by the
// two other forms that clusters are often configured for: the vendor alone, and
// <class>_<vendor>_<device>.
func pciLabels(device map[string]string) []string {
	class, vendor, id := device["class"], device["vendor"], device["device"]
	if class == "" || vendor == "" {
		return nil
	}
	return []string{class + "_" + vendor, vendor, class + "_" + vendor + "_" + id}
}
