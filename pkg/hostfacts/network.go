package hostfacts

import (
	"errors"
	"io/fs"
	"path"
	"syscall"

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

// readInstance reads the files of one device as attributes. A file that is missing,
// or that the driver cannot provide, is an attribute the device does not have.
func readInstance(root Root, dir string, files ...string) (map[string]string, error) {
	instance := map[string]string{"name": path.Base(dir)}
	for _, file := range files {
		value, err := readTrimmed(root, dir+"/"+file)
		if isNoAttribute(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		instance[path.Base(file)] = value
	}
	return instance, nil
}

func isNoAttribute(err error) bool {
	return errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, syscall.EINVAL) || // speed of an interface that is down
		errors.Is(err, syscall.EOPNOTSUPP) ||
		errors.Is(err, syscall.ENODEV) || // the device was just removed
		errors.Is(err, syscall.ENOTDIR)
}
