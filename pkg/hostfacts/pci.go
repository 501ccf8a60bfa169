package hostfacts

import (
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectPCI reads every PCI device and function. Those without a subsystem,
// such as bridges, do not have its two attributes.
func collectPCI(h host, out *facts.Features) error {
	const dir = "sys/bus/pci/devices"
	names, err := readDirIn(h.root, "sys/bus", dir)
	if err != nil {
		return err
	}
	devices := make([]map[string]string, 0, len(names))
	for _, name := range names {
		device, err := readPCI(h.root, dir+"/"+name)
		if err != nil {
			return err
		}
		devices = append(devices, device)
	}
	out.Instances["pci.device"] = devices
	return nil
}

func readPCI(root Root, dir string) (map[string]string, error) {
	files := []string{
		"class", "vendor", "device", "subsystem_vendor", "subsystem_device",
		"sriov_totalvfs", "iommu_group/type", "iommu/intel-iommu/version",
	}
	device := make(map[string]string, len(files))
	for _, file := range files {
		value, err := readTrimmed(root, dir+"/"+file)
		if isNoAttribute(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		device[file] = pciValue(file, value)
	}
	return device, nil
}

// pciValue leaves out 0x and, of the class, the programming interface.
func pciValue(file, value string) string {
	value = strings.TrimPrefix(value, "0x")
	if file == "class" && len(value) > 4 {
		return value[:4]
	}
	return value
}
