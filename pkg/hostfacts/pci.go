package hostfacts

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

const pciDevices = "sys/bus/pci/devices"

// collectPCI reads every PCI device and function. Those without a subsystem,
// such as bridges, do not have its two attributes.
func collectPCI(h host, out *facts.Features) (err error) {
	out.Instances["pci.device"], err = readDevices(h.root, "sys/bus", pciDevices, readPCI)
	return err
}

func readPCI(root Root, dir string) ([]map[string]string, error) {
	device, err := readFiles(root, dir, "class", "vendor", "device", "subsystem_vendor", "subsystem_device",
		"sriov_totalvfs", "iommu_group/type", "iommu/intel-iommu/version")
	for file, value := range device {
		device[file] = pciValue(file, value)
	}
	return []map[string]string{device}, err
}

// pciValue leaves out 0x and, of the class, the programming interface.
func pciValue(file, value string) string {
	value = strings.TrimPrefix(value, "0x")
	if file == "class" && len(value) > 4 {
		return value[:4]
	}
	return value
}

// pciFunction is one function of a device on the PCI bus, with its numbers as
// hexadecimal digits.
type pciFunction struct {
	address, class, vendor, device string
}

func (f pciFunction) dir() string { return pciDevices + "/" + f.address }

// functionsOfClass returns the PCI functions whose class begins with one of the
// prefixes, in the order of their addresses. A machine without a PCI bus has
// none.
func functionsOfClass(root Root, prefixes ...string) ([]pciFunction, error) {
	names, err := readDirIn(root, "sys/bus", pciDevices)
	var functions []pciFunction
	for _, name := range names {
		f := pciFunction{address: name}
		read, err := readFiles(root, f.dir(), "class")
		if err != nil {
			return nil, err
		}
		f.class = pciValue("class", read["class"])
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.class, p) }) {
			continue
		}
		if read, err = readFiles(root, f.dir(), "vendor", "device"); err != nil {
			return nil, err
		}
		f.vendor, f.device = pciValue("vendor", read["vendor"]), pciValue("device", read["device"])
		functions = append(functions, f)
	}
	return functions, err
}
