package hostfacts

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectNUMA counts the memory nodes. A kernel built without NUMA does not show
// any; the machine is then one node.
func collectNUMA(h host, out *facts.Features) error {
	const dir = "sys/devices/system"
	names, err := readDirIn(h.root, dir, dir+"/node")
	if err != nil {
		return err
	}
	nodes := 0
	for _, name := range names {
		if isNumbered(name, "node") {
			nodes++
		}
	}
	nodes = max(nodes, 1)
	out.Attributes["memory.numa"] = map[string]string{
		"is_numa":    strconv.FormatBool(nodes > 1),
		"node_count": strconv.Itoa(nodes),
	}
	return nil
}

func collectNVDIMM(h host, out *facts.Features) error {
	const dir = "sys/bus/nd/devices"
	names, err := readDirIn(h.root, "sys/bus", dir)
	if err != nil {
		return err
	}
	devices := []map[string]string{}
	for _, name := range names {
		device, err := readInstance(h.root, dir+"/"+name, "devtype", "mode")
		if err != nil {
			return err
		}
		devices = append(devices, device)
	}
	out.Instances["memory.nv"] = devices
	return nil
}

// collectSwap looks for a line after the header. A kernel built without swap
// has no such file.
func collectSwap(h host, out *facts.Features) error {
	data, err := h.root.ReadFile("proc/swaps")
	if errors.Is(err, fs.ErrNotExist) && h.root.stat("proc/sys/kernel/osrelease") == nil {
		err = nil
	}
	if err != nil {
		return err
	}
	areas := strings.Count(strings.TrimSpace(string(data)), "\n")
	out.Attributes["memory.swap"] = map[string]string{"enabled": strconv.FormatBool(areas > 0)}
	return nil
}
