package hostfacts

import (
	"errors"
	"fmt"
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
	nodes := max(len(numbered(names, "node")), 1)
	out.Attributes["memory.numa"] = map[string]string{
		"is_numa":    strconv.FormatBool(nodes > 1),
		"node_count": strconv.Itoa(nodes),
	}
	return err
}

func collectNVDIMM(h host, out *facts.Features) (err error) {
	out.Instances["memory.nv"], err = readDevices(h.root, "sys/bus", "sys/bus/nd/devices",
		instanceOf("devtype", "mode"))
	return err
}

// collectSwap looks for a line after the header. A kernel built without swap
// has no such file.
func collectSwap(h host, out *facts.Features) error {
	data, err := h.root.ReadFile("proc/swaps")
	if errors.Is(err, fs.ErrNotExist) && h.root.stat("proc/sys/kernel/osrelease") == nil {
		err = nil
	}
	areas := strings.Count(strings.TrimSpace(string(data)), "\n")
	out.Attributes["memory.swap"] = map[string]string{"enabled": strconv.FormatBool(areas > 0)}
	return err
}

// collectHugePages counts the reserved huge pages of each size, used or not.
func collectHugePages(h host, out *facts.Features) error {
	const dir = "sys/kernel/mm/hugepages"
	names, err := readDirIn(h.root, "sys/kernel", dir)
	if err != nil {
		return err
	}
	elements := map[string]string{"enabled": "false"}
	out.Attributes["memory.hugepages"] = elements
	for _, name := range names {
		element, ok := hugePagesElement(name)
		if !ok {
			continue
		}
		count, err := readTrimmed(h.root, dir+"/"+name+"/nr_hugepages")
		if err == nil {
			_, err = strconv.ParseUint(count, 10, 64)
		}
		setElement(out, "memory.hugepages", element, count, err)
		if err == nil && count != "0" {
			elements["enabled"] = "true"
		}
	}
	if elements["enabled"] == "false" && len(out.Unknown) > 0 {
		delete(elements, "enabled")
		out.Unknown["memory.hugepages/enabled"] = "not all sizes of huge pages could be counted"
	}
	return nil
}

// hugePagesElement returns Kubernetes' name of the resource: hugepages-2Mi for
// hugepages-2048kB.
func hugePagesElement(name string) (string, bool) {
	digits, isPrefixed := strings.CutPrefix(name, "hugepages-")
	digits, isKilo := strings.CutSuffix(digits, "kB")
	size, err := strconv.ParseUint(digits, 10, 63)
	if !isPrefixed || !isKilo || err != nil || size == 0 {
		return "", false
	}
	units := []string{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	unit := 0
	for size%1024 == 0 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("hugepages-%d%s", size, units[unit]), true
}
