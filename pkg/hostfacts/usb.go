package hostfacts

import (
	"maps"
	"path"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectUSB reads every USB device. A device whose interfaces have the class is
// listed once for each interface, as in NFD.
func collectUSB(h host, out *facts.Features) error {
	const dir = "sys/bus/usb/devices"
	names, err := readDirIn(h.root, "sys/bus", dir)
	if err != nil {
		return err
	}
	devices := []map[string]string{}
	for _, name := range names {
		// The bus lists interfaces too, which have no product.
		product, err := h.root.Exists(dir + "/" + name + "/idProduct")
		if err != nil {
			return err
		}
		if !product {
			continue
		}
		found, err := readUSB(h.root, dir+"/"+name)
		if err != nil {
			return err
		}
		devices = append(devices, found...)
	}
	out.Instances["usb.device"] = devices
	return nil
}

func readUSB(root Root, dir string) ([]map[string]string, error) {
	device := map[string]string{}
	for _, attribute := range []struct{ name, file string }{
		{"class", "bDeviceClass"}, {"vendor", "idVendor"}, {"device", "idProduct"}, {"serial", "serial"},
	} {
		value, err := readTrimmed(root, dir+"/"+attribute.file)
		if err != nil && !isNoAttribute(err) {
			return nil, err
		}
		if value != "" {
			device[attribute.name] = value
		}
	}
	if device["class"] != "00" {
		return []map[string]string{device}, nil
	}
	return usbInterfaces(root, dir, device)
}

// usbInterfaces returns the device with the class of each of its interfaces,
// and as it is when it has none.
func usbInterfaces(root Root, dir string, device map[string]string) ([]map[string]string, error) {
	names, err := root.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var devices []map[string]string
	for _, name := range names {
		if !strings.HasPrefix(name, path.Base(dir)+":") {
			continue
		}
		class, err := readTrimmed(root, dir+"/"+name+"/bInterfaceClass")
		if isNoAttribute(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		of := maps.Clone(device)
		of["class"] = class
		devices = append(devices, of)
	}
	if len(devices) == 0 {
		devices = append(devices, device)
	}
	return devices, nil
}
