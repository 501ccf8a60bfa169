package hostfacts

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/facts"
)

// readHypervisor returns NFD's name of the hypervisor, and "none" on bare metal.
func readHypervisor(h host) (string, error) {
	switch {
	case h.arch == "s390x":
		return mainframeHypervisor(h.root)
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

// mainframeHypervisor is the control program of the virtual machine: KVM/Linux or a
// version of z/VM. On a logical partition there is none.
func mainframeHypervisor(root Root) (string, error) {
	data, err := root.ReadHead("proc/sysinfo", maxDriverText)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if name, program, ok := strings.Cut(line, ":"); ok && strings.HasSuffix(strings.TrimSpace(name), "Control Program") {
			return cmp.Or(labelText(strings.TrimSpace(program)), "none"), nil
		}
	}
	return "none", nil
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
	hypervisor := map[string]string{
		"Amazon EC2": "kvm", "Google": "kvm", "QEMU": "kvm", "Red Hat": "kvm", "Microsoft Corporation": "msvm",
		"VMware, Inc.": "vmware", "Xen": "xenhvm",
	}[vendor]
	if hypervisor != "" {
		return hypervisor, nil
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

// collectVirtualization finds the kind of hypervisor that the node runs on. Whether
// this process runs in a container makes no difference: the facts are the node's.
func collectVirtualization(h host, out *facts.Features) error {
	kind, err := virtualization(h)
	out.Attributes["system.virtualization"] = map[string]string{"type": kind}
	return err
}

func virtualization(h host) (string, error) {
	// Paravirtual machines of Xen, and its first domain, see the CPU as it is.
	kind, err := readTrimmed(h.root, "sys/hypervisor/type")
	if err == nil && kind == "xen" {
		return "xen", nil
	}
	if names, err := h.root.ReadDir("proc/xen"); err == nil && len(names) > 0 {
		return "xen", nil
	}
	if h.cpuErr != nil && !h.live {
		return "", h.cpuErr
	}
	isX86 := h.arch == "amd64" || h.arch == "386"
	if isX86 && !slices.Contains(h.cpu.Flags, "hypervisor") && h.cpuErr == nil {
		return "none", nil
	}
	if kind, err := firmwareHypervisor(h.root); err == nil || !isX86 {
		return kind, err
	}
	return cpuHypervisor(h)
}

// cpuHypervisor asks the CPU when the firmware does not help.
func cpuHypervisor(h host) (string, error) {
	name, err := readHypervisor(h)
	if err != nil {
		return "", err
	}
	switch name {
	case "msvm":
		return "microsoft", nil
	case "xenhvm":
		return "xen", nil
	case "unknown":
		return "", errors.New("the CPU does not name the hypervisor")
	}
	return name, nil
}

// firmwareHypervisor goes by the name of the machine in the firmware or the device
// tree.
func firmwareHypervisor(root Root) (string, error) {
	vendor, err := readTrimmed(root, "sys/class/dmi/id/sys_vendor")
	if err != nil {
		if kind, ok := treeNodeHypervisor(root); ok {
			return kind, nil
		}
		return "", err
	}
	product, err := readTrimmed(root, "sys/class/dmi/id/product_name")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	switch {
	case vendor == "Amazon EC2" && strings.HasSuffix(product, ".metal"):
		return "none", nil
	case slices.Contains([]string{
		"Amazon EC2", "Google", "QEMU", "Red Hat", "KubeVirt", "OpenStack Foundation", "Alibaba Cloud", "Tencent Cloud",
	}, vendor), strings.HasPrefix(product, "KVM"), strings.HasPrefix(product, "OpenStack"):
		return "kvm", nil
	case vendor == "Microsoft Corporation" && product == "Virtual Machine":
		return "microsoft", nil
	case strings.HasPrefix(vendor, "VMware"), strings.HasPrefix(product, "VMware"):
		return "vmware", nil
	case vendor == "innotek GmbH", product == "VirtualBox":
		return "oracle", nil
	case vendor == "Xen":
		return "xen", nil
	case strings.HasPrefix(vendor, "Parallels"):
		return "parallels", nil
	case vendor == "Apple Inc." && strings.Contains(product, "Virtual Machine"), strings.HasPrefix(product, "Apple Virtualization"):
		return "apple", nil
	case vendor == "BHYVE", product == "BHYVE":
		return "bhyve", nil
	}
	return "", fmt.Errorf("the firmware vendor %.64q does not identify a hypervisor", vendor)
}

// treeNodeHypervisor reads the device tree, which a machine without DMI has.
func treeNodeHypervisor(root Root) (string, bool) {
	data, err := root.ReadHead("proc/device-tree/hypervisor/compatible", maxDriverText)
	text := string(data)
	switch {
	case err != nil:
		return "", false
	case strings.HasPrefix(text, "linux,kvm"):
		return "kvm", true
	case strings.HasPrefix(text, "xen"):
		return "xen", true
	case strings.HasPrefix(text, "vmware"):
		return "vmware", true
	}
	return "", false
}
