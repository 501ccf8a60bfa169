package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/facts"
)

// readHypervisor returns NFD's name of the hypervisor, and "none" on bare metal.
func readHypervisor(h host) (string, error) {
	switch {
	case h.arch != "amd64" && h.arch != "386":
		return "", fmt.Errorf("%s CPUs do not report a hypervisor", h.arch)
	case h.live:
		return liveHypervisor(cpuid.CPU.VM(), cpuid.CPU.HypervisorVendorID, cpuid.CPU.HypervisorVendorString), nil
	case h.cpuErr != nil:
		return "", h.cpuErr
	case !slices.Contains(h.cpu.Flags, "hypervisor"):
		return "none", nil
	}
	return treeHypervisor(h.root)
}

func liveHypervisor(virtual bool, vendor cpuid.Vendor, raw string) string {
	if !virtual {
		return "none"
	}
	if vendor != cpuid.VendorUnknown {
		return strings.ToLower(vendor.String())
	}
	if name := labelText(raw); name != "" {
		return name
	}
	return "unknown"
}

// treeHypervisor infers it from the firmware vendor, which is all a tree has.
func treeHypervisor(root Root) (string, error) {
	if kind, err := readTrimmed(root, "sys/hypervisor/type"); err == nil && kind == "xen" {
		return "xenhvm", nil
	}
	vendor, err := readTrimmed(root, "sys/class/dmi/id/sys_vendor")
	if err != nil {
		return "", err
	}
	switch vendor {
	case "Amazon EC2", "Google", "QEMU", "Red Hat":
		return "kvm", nil
	case "Microsoft Corporation":
		return "msvm", nil
	case "VMware, Inc.":
		return "vmware", nil
	case "Xen":
		return "xenhvm", nil
	}
	return "", fmt.Errorf("the firmware vendor %q does not identify a hypervisor", vendor)
}

// labelText replaces every run of characters that a Kubernetes label value cannot
// have by one underscore, as NFD does.
func labelText(s string) string {
	var b strings.Builder
	replaced := false
	for _, r := range s {
		if facts.IsLabelRune(r) {
			b.WriteRune(r)
			replaced = false
			continue
		}
		if !replaced {
			b.WriteByte('_')
		}
		replaced = true
	}
	return b.String()
}

// collectPState reads the intel_pstate driver. Without it the set is known and
// empty, as in NFD.
func collectPState(h host, out *facts.Features) error {
	const dir = "sys/devices/system/cpu"
	if err := h.root.stat(dir); err != nil {
		return err
	}
	out.Attributes["cpu.pstate"] = map[string]string{}
	status, err := readTrimmed(h.root, dir+"/intel_pstate/status")
	if errors.Is(err, fs.ErrNotExist) || err == nil && status == "off" {
		return nil
	}
	if err != nil {
		return err
	}
	elements := out.Attributes["cpu.pstate"]
	elements["status"] = status
	if noTurbo, err := readTrimmed(h.root, dir+"/intel_pstate/no_turbo"); err != nil {
		out.Unknown["cpu.pstate/turbo"] = facts.CauseOf(err)
	} else {
		elements["turbo"] = strconv.FormatBool(noTurbo == "0")
	}
	if status != "active" {
		return nil
	}
	governor, err := readGovernor(h.root, dir+"/cpufreq")
	if err != nil {
		out.Unknown["cpu.pstate/scaling"] = facts.CauseOf(err)
		out.Unknown["cpu.pstate/scaling_governor"] = facts.CauseOf(err)
		return nil
	}
	if governor != "" {
		elements["scaling"] = governor          // what NFD documents
		elements["scaling_governor"] = governor // what NFD prints
	}
	return nil
}

// readGovernor returns the scaling governor all CPUs share, or nothing when
// they differ.
func readGovernor(root Root, dir string) (string, error) {
	policies, err := root.ReadDir(dir)
	if err != nil {
		return "", err
	}
	shared := ""
	for _, policy := range policies {
		if !isNumbered(policy, "policy") {
			continue
		}
		cpus, err := readTrimmed(root, dir+"/"+policy+"/affected_cpus")
		if err != nil {
			return "", err
		}
		if cpus == "" {
			continue
		}
		governor, err := readTrimmed(root, dir+"/"+policy+"/scaling_governor")
		if err != nil {
			return "", err
		}
		if shared != "" && shared != governor {
			return "", nil
		}
		shared = governor
	}
	return shared, nil
}
