package hostfacts

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
)

// maxCPUInfo bounds what is read of proc/cpuinfo: the first processors suffice,
// and on a large host the file has many megabytes.
const maxCPUInfo = 64 << 10

// cpuInfo is what proc/cpuinfo has on the first processor.
type cpuInfo struct {
	archspec.CPU
	family, model int
	has           struct{ family, model bool }
	smt           bool // several threads per core
}

// parseCPUInfo reads the first processor of a proc/cpuinfo file.
func parseCPUInfo(data []byte) (cpuInfo, error) {
	fields := firstProcessor(data)
	switch {
	case fields["flags"] != "":
		return parseX86(fields), nil
	case fields["CPU implementer"] != "":
		return parseARM(fields), nil
	case strings.HasPrefix(fields["isa"], "rv64"):
		return parseRISCV(fields), nil
	case fields["vendor_id"] == "IBM/S390":
		return cpuInfo{CPU: archspec.CPU{Arch: "s390x", Vendor: fields["vendor_id"]}}, nil
	case strings.HasPrefix(fields["cpu"], "POWER"):
		return cpuInfo{CPU: archspec.CPU{Arch: "ppc64le", Vendor: "IBM", Core: fields["cpu"]}}, nil
	default:
		return cpuInfo{}, errors.New("no CPU of a known kind in proc/cpuinfo")
	}
}

// firstProcessor returns the fields up to the second processor, each with its
// first value.
func firstProcessor(data []byte) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if _, seen := fields[key]; !seen {
			fields[key] = value
			continue
		}
		if key == "processor" {
			break
		}
	}
	return fields
}

func parseX86(fields map[string]string) cpuInfo {
	c := cpuInfo{CPU: archspec.CPU{Arch: "386", Vendor: fields["vendor_id"], Flags: strings.Fields(fields["flags"])}}
	if slices.Contains(c.Flags, "lm") {
		c.Arch = "amd64"
	}
	c.family, c.has.family = parseInt(fields["cpu family"])
	c.model, c.has.model = parseInt(fields["model"])
	siblings, _ := parseInt(fields["siblings"])
	cores, ok := parseInt(fields["cpu cores"])
	c.smt = ok && siblings > cores
	return c
}

// parseARM composes family and model as the main ID register of the CPU has them,
// which is how NFD prints them.
func parseARM(fields map[string]string) cpuInfo {
	c := cpuInfo{CPU: archspec.CPU{
		Arch: "arm", Vendor: fields["CPU implementer"], Core: fields["CPU part"], Flags: strings.Fields(fields["Features"]),
	}}
	if slices.Contains(c.Flags, "asimd") {
		c.Arch = "arm64"
	}
	variant, hasVariant := parseInt(fields["CPU variant"])
	part, hasPart := parseInt(fields["CPU part"])
	revision, hasRevision := parseInt(fields["CPU revision"])
	const architecture = 0xf // "features are identified one by one", all of arm64
	c.family, c.has.family = variant<<4|architecture, hasVariant
	c.model, c.has.model = part<<4|revision, hasPart && hasRevision
	return c
}

// parseInt reads a small decimal or 0x number.
func parseInt(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 0, 16)
	return int(n), err == nil
}

// parseRISCV splits the isa string, such as rv64imafdc_zicsr_zba, into extensions.
func parseRISCV(fields map[string]string) cpuInfo {
	c := cpuInfo{CPU: archspec.CPU{Arch: "riscv64", Core: fields["uarch"], ModelName: fields["model name"]}}
	letters, rest, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(fields["isa"]), "rv64"), "_")
	for _, letter := range letters {
		if letter == 'g' { // not in what the kernel prints
			c.Flags = append(c.Flags, "i", "m", "a", "f", "d")
			continue
		}
		c.Flags = append(c.Flags, string(letter))
	}
	if rest != "" {
		c.Flags = append(c.Flags, strings.Split(rest, "_")...)
	}
	// Kernels before 6.5 print few of the extensions with longer names, and then not
	// zicsr, which all CPUs have; kernels before 6.8 print some of them.
	tellsBits := slices.Contains(c.Flags, "zicsr")
	c.Shows = func(extension string) bool {
		isBits := extension == "zba" || extension == "zbb" || extension == "zbs"
		return len(extension) == 1 || isBits && tellsBits
	}
	return c
}
