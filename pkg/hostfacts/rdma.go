package hostfacts

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

const rdmaDir = "sys/class/infiniband"

// collectRDMADevices lists each port of each RDMA device, and the kinds of
// fabric they and other HPC adapters reach. GUIDs are not read.
func collectRDMADevices(h host, out *facts.Features) error {
	names, err := readDirIn(h.root, "sys/class", rdmaDir)
	if err != nil {
		return err
	}
	ports := []map[string]string{}
	for _, name := range names {
		found, err := rdmaPorts(h.root, name)
		if err != nil {
			return err
		}
		ports = append(ports, found...)
	}
	out.Instances["rdma.device"] = ports
	out.Flags["rdma.fabric"] = fabrics(h.root, ports)
	return nil
}

// rdmaPorts returns one instance for each port of a device, or one for the
// device where it has none.
func rdmaPorts(root Root, name string) ([]map[string]string, error) {
	dir := rdmaDir + "/" + name
	device := map[string]string{"name": name}
	if nodeType, err := readTrimmed(root, dir+"/node_type"); err == nil {
		device["node_type"] = afterColon(nodeType)
	} else if !isNoAttribute(err) {
		return nil, err
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
	for _, number := range numbers {
		if !isNumbered(number, "") {
			continue
		}
		port, err := readInstance(root, dir+"/ports/"+number, "link_layer", "state", "rate")
		if err != nil {
			return nil, err
		}
		ports = append(ports, rdmaPort(device, number, port))
	}
	return ports, nil
}

func rdmaPort(device map[string]string, number string, read map[string]string) map[string]string {
	port := maps.Clone(device)
	port["port"] = number
	if layer := read["link_layer"]; layer != "" {
		port["link_layer"] = strings.ToLower(layer)
	}
	if state := read["state"]; state != "" {
		port["state"] = afterColon(state)
	}
	if rate := gigabits(read["rate"]); rate != "" {
		port["rate_gbps"] = rate
	}
	return port
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
	set := map[string]string{}
	out.Attributes["rdma.host"] = set
	functions, err := functionsOfClass(h.root, "02")
	if err != nil {
		out.Unknown["rdma.host/capable"] = facts.CauseOf(err)
	} else {
		set["capable"] = strconv.FormatBool(slices.ContainsFunc(functions, func(f pciFunction) bool {
			return f.vendor == "15b3"
		}))
	}
	modules, err := loadedModules(h.root)
	if err != nil {
		out.Unknown["rdma.host/available"] = facts.CauseOf(err)
	} else {
		set["available"] = strconv.FormatBool(slices.Contains(modules, "ib_uverbs") && slices.Contains(modules, "rdma_ucm"))
	}
	return nil
}
