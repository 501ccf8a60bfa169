package hostfacts

import "github.com/imagefit/imagefit/pkg/facts"

// collectBlock reads the request queue of each block device. Partitions are not
// listed.
func collectBlock(h host, out *facts.Features) error {
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
