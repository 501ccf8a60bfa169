package hostfacts

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectRDMADevices lists each port of each RDMA device, and the kinds of
// fabric they and other HPC adapters reach. GUIDs are not read.
func collectRDMADevices(h host, out *facts.Features) error {
	ports, err := readDevices(h.root, "sys/class", "sys/class/infiniband", rdmaPorts)
	out.Instances["rdma.device"] = ports
	out.Flags["rdma.fabric"] = fabrics(h.root, ports)
	return err
}

// rdmaPorts returns one instance for each port of a device, or one for the
// device where it has none.
func rdmaPorts(root Root, dir string) ([]map[string]string, error) {
	device, err := readInstance(root, dir, "node_type")
	if err != nil {
		return nil, err
	}
	if nodeType, ok := device["node_type"]; ok {
		device["node_type"] = afterColon(nodeType)
	}
	if link, err := root.Readlink(dir + "/device/driver"); err == nil {
		device["driver"] = path.Base(link)
	}
	numbers, err := root.ReadDir(dir + "/ports")
	if isNoAttribute(err) {
		return []map[string]string{device}, nil
	}
	if err != nil {
		return nil, err
	}
	var ports []map[string]string
	for _, number := range numbered(numbers, "") {
		read, err := readFiles(root, dir+"/ports/"+number, "link_layer", "state", "rate")
		if err != nil {
			return nil, err
		}
		port := known(map[string]string{
			"port": number, "link_layer": strings.ToLower(read["link_layer"]), "state": afterColon(read["state"]),
			"rate_gbps": gigabits(read["rate"]),
		})
		maps.Copy(port, device)
		ports = append(ports, port)
	}
	return ports, nil
}

// afterColon returns "active" for what sysfs writes as "4: ACTIVE".
func afterColon(s string) string {
	if _, word, ok := strings.Cut(s, ":"); ok {
		s = word
	}
	return strings.ToLower(strings.TrimSpace(s))
}

// gigabits reads the number of a rate such as "200 Gb/sec (4X HDR)".
func gigabits(rate string) string {
	number, unit, _ := strings.Cut(rate, " ")
	if n, err := strconv.ParseFloat(number, 64); err != nil || n < 0 || n > 1e6 || !strings.HasPrefix(unit, "Gb/sec") {
		return ""
	}
	return number
}

// fabrics names what the adapters connect to: infiniband and roce by the link
// layer, iwarp by the node type, efa (AWS), cxi (HPE Slingshot) and opa (Cornelis
// Omni-Path) by the driver.
func fabrics(root Root, ports []map[string]string) []string {
	found := []string{}
	for _, port := range ports {
		switch {
		case port["driver"] == "efa" || strings.HasPrefix(port["name"], "efa_"):
			found = append(found, "efa")
		case port["driver"] == "hfi1" || strings.HasPrefix(port["name"], "hfi1_"):
			found = append(found, "opa")
		case port["node_type"] == "rnic":
			found = append(found, "iwarp")
		case port["link_layer"] == "infiniband":
			found = append(found, "infiniband")
		case port["link_layer"] == "ethernet":
			found = append(found, "roce")
		}
	}
	for _, class := range []string{"cxi", "cxi_user"} {
		if names, err := root.ReadDir("sys/class/" + class); err == nil && len(names) > 0 {
			found = append(found, "cxi")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// collectRDMAHost applies the rules of NFD's labels custom-rdma.capable and
// custom-rdma.available: a device of Mellanox, and the two modules that programs
// need.
func collectRDMAHost(h host, out *facts.Features) error {
	out.Attributes["rdma.host"] = map[string]string{}
	functions, err := functionsOfClass(h.root, "02")
	capable := slices.ContainsFunc(functions, func(f pciFunction) bool { return f.vendor == "15b3" })
	setElement(out, "rdma.host", "capable", strconv.FormatBool(capable), err)
	modules, err := loadedModules(h.root)
	available := slices.Contains(modules, "ib_uverbs") && slices.Contains(modules, "rdma_ucm")
	setElement(out, "rdma.host", "available", strconv.FormatBool(available), err)
	return nil
}
