package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

const cgroupDir = "sys/fs/cgroup"

// collectCgroup reads which version of control groups is mounted, and its
// controllers. The set is empty when neither is mounted.
func collectCgroup(h host, out *facts.Features) error {
	names, err := readDirIn(h.root, "sys/fs", cgroupDir)
	if err != nil {
		return err
	}
	set := map[string]string{}
	out.Attributes["system.cgroup"] = set
	var version string
	var controllers []string
	if slices.Contains(names, "cgroup.controllers") {
		version = "v2"
		if controllers, err = cgroupControllers(h.root, cgroupDir); err != nil {
			out.Unknown["system.cgroup/controllers"] = facts.CauseOf(err)
		}
	} else {
		version, controllers, err = legacyCgroups(h.root, names)
		if err != nil {
			return err
		}
	}
	if version != "" {
		set["version"] = version
	}
	if len(controllers) > 0 {
		slices.Sort(controllers)
		set["controllers"] = strings.Join(slices.Compact(controllers), ",")
	}
	return nil
}

func cgroupControllers(root Root, dir string) ([]string, error) {
	data, err := root.ReadHead(dir+"/cgroup.controllers", maxDriverText)
	return strings.Fields(string(data)), err
}

// legacyCgroups reads a tree in which each controller of version 1 has a
// directory of its own. In a hybrid one, version 2 is mounted next to them.
func legacyCgroups(root Root, names []string) (version string, controllers []string, err error) {
	known := []string{
		"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio",
		"perf_event", "pids", "rdma",
	}
	for _, name := range names {
		for _, controller := range strings.Split(name, ",") { // cpu,cpuacct
			if slices.Contains(known, controller) {
				controllers = append(controllers, controller)
			}
		}
	}
	if len(controllers) == 0 {
		return "", nil, nil
	}
	if !slices.Contains(names, "unified") {
		return "v1", controllers, nil
	}
	unified, err := cgroupControllers(root, cgroupDir+"/unified")
	if errors.Is(err, fs.ErrNotExist) {
		return "v1", controllers, nil
	}
	return "hybrid", append(controllers, unified...), err
}

// collectVirtualization finds the kind of hypervisor that the node runs on. Whether
// this process runs in a container makes no difference: the facts are the node's.
func collectVirtualization(h host, out *facts.Features) error {
	kind, err := virtualization(h)
	if err != nil {
		return err
	}
	out.Attributes["system.virtualization"] = map[string]string{"type": kind}
	return nil
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
