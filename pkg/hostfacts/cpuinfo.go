package hostfacts

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// maxCPUInfo bounds what is read of proc/cpuinfo: the first processors say
// enough, and on a large host the file has many megabytes.
const maxCPUInfo = 64 << 10

// cpuInfo is what the first processor of proc/cpuinfo says of itself.
type cpuInfo struct {
	arch   string // GOARCH spelling
	vendor string // as written: GenuineIntel, 0x41
	family int
	model  int
	flags  []string // in the kernel's spelling
	smt    bool     // several threads per core

	// core is what the kernel calls the core where that says more than family
	// and model, as written: "0xd0c" on ARM, "POWER9, altivec supported",
	// "sifive,u74-mc" on RISC-V. There modelName can say it too.
	core, modelName string

	has struct{ family, model bool }
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
		return cpuInfo{arch: "riscv64", core: fields["uarch"], modelName: fields["model name"]}, nil
	case fields["vendor_id"] == "IBM/S390":
		return cpuInfo{arch: "s390x", vendor: fields["vendor_id"]}, nil
	case strings.HasPrefix(fields["cpu"], "POWER"):
		return cpuInfo{arch: "ppc64le", vendor: "IBM", core: fields["cpu"]}, nil
	default:
		return cpuInfo{}, errors.New("proc/cpuinfo describes no CPU of a known kind")
	}
}

// firstProcessor returns the fields up to the second processor. The first value
// of a key counts.
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
	c := cpuInfo{
		arch:   "386",
		vendor: fields["vendor_id"],
		flags:  strings.Fields(fields["flags"]),
	}
	if slices.Contains(c.flags, "lm") {
		c.arch = "amd64"
	}
	c.family, c.has.family = parseInt(fields["cpu family"])
	c.model, c.has.model = parseInt(fields["model"])
	siblings, _ := parseInt(fields["siblings"])
	cores, ok := parseInt(fields["cpu cores"])
	c.smt = ok && siblings > cores
	return c
}

// parseARM puts family and model together as the CPU's main id register has
// them, which is how NFD prints them.
func parseARM(fields map[string]string) cpuInfo {
	c := cpuInfo{
		arch:   "arm",
		vendor: fields["CPU implementer"],
		core:   fields["CPU part"],
		flags:  strings.Fields(fields["Features"]),
	}
	if slices.Contains(c.flags, "asimd") {
		c.arch = "arm64"
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
