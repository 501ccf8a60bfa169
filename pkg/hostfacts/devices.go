package hostfacts

import (
	"maps"
	"path"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectNetwork separates interfaces of hardware, which have a device, from
// virtual ones. A kernel built without networking has no such class at all.
func collectNetwork(h host, out *facts.Features) error {
	const dir = "sys/class/net"
	names, err := readDirIn(h.root, "sys/class", dir)
	if err != nil {
		return err
	}
	devices, virtual := []map[string]string{}, []map[string]string{}
	for _, name := range names {
		if name == "bonding_masters" { // a file among the interfaces
			continue
		}
		physical, err := h.root.Exists(dir + "/" + name + "/device")
		if err != nil {
			return err
		}
		files := []string{"operstate", "speed", "mtu"}
		if physical {
			files = append(files, "device/sriov_numvfs", "device/sriov_totalvfs")
		}
		instance, err := readInstance(h.root, dir+"/"+name, files...)
		if err != nil {
			return err
		}
		if physical {
			devices = append(devices, instance)
		} else {
			virtual = append(virtual, instance)
		}
	}
	out.Instances["network.device"] = devices
	out.Instances["network.virtual"] = virtual
	return nil
}

// collectBlock reads the request queue of each block device. Partitions are not
// listed.
func collectBlock(h host, out *facts.Features) (err error) {
	out.Instances["storage.block"], err = readDevices(h.root, "sys/class", "sys/block",
		instanceOf("queue/dax", "queue/rotational", "queue/nr_zones", "queue/zoned"))
	return err
}

// collectUSB reads every USB device. A device whose interfaces have the class is
// listed once for each interface, as in NFD.
func collectUSB(h host, out *facts.Features) (err error) {
	out.Instances["usb.device"], err = readDevices(h.root, "sys/bus", "sys/bus/usb/devices", readUSB)
	return err
}

func readUSB(root Root, dir string) ([]map[string]string, error) {
	read, err := readFiles(root, dir, "bDeviceClass", "idVendor", "idProduct", "serial")
	if _, isDevice := read["idProduct"]; !isDevice { // the bus lists interfaces too
		return nil, err
	}
	device := known(map[string]string{
		"class": read["bDeviceClass"], "vendor": read["idVendor"],
		"device": read["idProduct"], "serial": read["serial"],
	})
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
		class, err := readOptional(root, dir+"/"+name+"/bInterfaceClass")
		if err != nil {
			return nil, err
		}
		if class != "" {
			of := maps.Clone(device)
			of["class"] = class
			devices = append(devices, of)
		}
	}
	if len(devices) == 0 {
		devices = append(devices, device)
	}
	return devices, nil
}
