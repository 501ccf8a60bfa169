package hostfacts

import (
	"path"
	"slices"
	"strings"
)

// pciFunction is one function of a device on the PCI bus, with its numbers as
// hexadecimal digits.
type pciFunction struct {
	address, class, vendor, device string
}

const pciDevices = "sys/bus/pci/devices"

func (f pciFunction) dir() string { return pciDevices + "/" + f.address }

// boundDriver returns the name of the kernel driver, or nothing without one.
func (f pciFunction) boundDriver(root Root) string {
	link, err := root.Readlink(f.dir() + "/driver")
	if err != nil {
		return ""
	}
	return path.Base(link)
}

// functionsOfClass returns the PCI functions whose class begins with one of the
// prefixes, in the order of their addresses. A machine without a PCI bus has
// none.
func functionsOfClass(root Root, prefixes ...string) ([]pciFunction, error) {
	names, err := readDirIn(root, "sys/bus", pciDevices)
	if err != nil {
		return nil, err
	}
	var functions []pciFunction
	for _, name := range names {
		f := pciFunction{address: name}
		var err error
		if f.class, err = readHex(root, f.dir()+"/class"); err == nil {
			if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.class, p) }) {
				continue
			}
			f.vendor, err = readHex(root, f.dir()+"/vendor")
		}
		if err == nil {
			f.device, err = readHex(root, f.dir()+"/device")
		}
		if isNoAttribute(err) { // the device was just removed
			continue
		}
		if err != nil {
			return nil, err
		}
		functions = append(functions, f)
	}
	return functions, nil
}

// readHex reads a number such as 0x030200 and returns its first four digits,
// which NFD calls the class, or all there are of a vendor or device.
func readHex(root Root, name string) (string, error) {
	text, err := readTrimmed(root, name)
	if err != nil {
		return "", err
	}
	digits := strings.TrimPrefix(strings.ToLower(text), "0x")
	return digits[:min(len(digits), 4)], nil
}
