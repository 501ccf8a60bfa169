package hostfacts

import "strings"

// collectBlock reads how each block device takes its requests. Names are those
// of whole devices; partitions are not listed.
func collectBlock(h host, out *Features) error {
	const dir = "sys/block"
	names, err := readDirIn(h.root, "sys/class", dir)
	if err != nil {
		return err
	}
	devices := make([]map[string]string, 0, len(names))
	for _, name := range names {
		device, err := readInstance(h.root, dir+"/"+name,
			"queue/dax", "queue/rotational", "queue/nr_zones", "queue/zoned")
		if err != nil {
			return err
		}
		devices = append(devices, device)
	}
	out.Instances["storage.block"] = devices
	return nil
}

// isVirtualBlock reports whether a block device is made by software, which
// comes and goes with what runs on the node: images mounted in a loop, volumes
// mapped or attached over the network.
func isVirtualBlock(device map[string]string) bool {
	for _, prefix := range []string{"loop", "dm-", "md", "nbd", "rbd", "ram", "zram", "drbd"} {
		if number, ok := strings.CutPrefix(device["name"], prefix); ok && leadingDigits(number) != "" {
			return true
		}
	}
	return false
}
