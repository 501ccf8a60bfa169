package hostfacts

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
)

// maxCPUInfo bounds what is read of proc/cpuinfo: about 600 processors of x86. Those
// beyond are like one of the first.
const maxCPUInfo = 1 << 20

// cpuInfo is what proc/cpuinfo has on the processors.
type cpuInfo struct {
	archspec.CPU
	family, model int
	has           struct{ family, model bool }
	smt           bool // several threads per core
	// familyText and modelText are those of a mainframe, which are no numbers.
	familyText, modelText string
}

// parseCPUInfo reads a proc/cpuinfo file. Of processors that differ it has the
// features that all have: programs move between them.
func parseCPUInfo(data []byte) (cpuInfo, error) {
	processors := splitProcessors(data)
	c, err := parseProcessor(processors[0])
	if err != nil { // old kernels of ARM print what all have in common once, after the last
		common := map[string]string{}
		for _, processor := range processors {
			for key, value := range processor {
				common[key] = cmp.Or(common[key], value)
			}
		}
		if c, err = parseProcessor(common); err != nil {
			return c, err
		}
	}
	for _, processor := range processors {
		other, err := parseProcessor(processor)
		if err != nil || other.Arch != c.Arch || len(other.Flags) == 0 {
			continue
		}
		c.Flags = slices.DeleteFunc(c.Flags, func(flag string) bool { return !slices.Contains(other.Flags, flag) })
		if other.Core != c.Core {
			c.Core = "" // no name is that of all
		}
	}
	return c, nil
}

func parseProcessor(fields map[string]string) (cpuInfo, error) {
	switch {
	case fields["flags"] != "":
		return parseX86(fields), nil
	case fields["CPU implementer"] != "":
		return parseARM(fields), nil
	case strings.HasPrefix(fields["isa"], "rv64"):
		return parseRISCV(fields), nil
	case fields["vendor_id"] == "IBM/S390":
		return parseS390(fields), nil
	case strings.HasPrefix(fields["cpu"], "POWER"):
		return cpuInfo{CPU: archspec.CPU{Arch: "ppc64le", Vendor: "IBM", Core: fields["cpu"]}}, nil
	default:
		return cpuInfo{}, errors.New("no CPU of a known kind in proc/cpuinfo")
	}
}

// splitProcessors returns the fields of each processor, with the first value of each.
// The same fields as before are left out: most hosts have many equal processors.
func splitProcessors(data []byte) []map[string]string {
	var processors []map[string]string
	seen := map[string]bool{}
	fields, text := map[string]string{}, strings.Builder{}
	end := func() {
		if !seen[text.String()] {
			seen[text.String()] = true
			processors = append(processors, fields)
		}
		fields = map[string]string{}
		text.Reset()
	}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			continue
		}
		if _, again := fields["processor"]; key == "processor" && again {
			end()
		}
		if _, again := fields[key]; !again {
			fields[key] = value
			switch key {
			case "flags", "Features", "isa", "CPU implementer", "CPU part", "uarch", "cpu":
				text.WriteString(key + ":" + value + "\n")
			}
		}
	}
	// What was cut off in the middle of a processor is not all of it.
	if len(data) < maxCPUInfo || len(processors) == 0 {
		end()
	}
	return processors
}

// parseS390 takes what NFD has of a mainframe. Before 4.15 kernels have it in one line
// for each processor only.
func parseS390(fields map[string]string) cpuInfo {
	c := cpuInfo{CPU: archspec.CPU{Arch: "s390x", Vendor: fields["vendor_id"], Flags: strings.Fields(fields["features"])}}
	c.familyText, c.modelText = fields["identification"], fields["machine"]
	for part := range strings.SplitSeq(fields["processor 0"], ",") {
		name, value, _ := strings.Cut(part, "=")
		switch strings.TrimSpace(name) {
		case "identification":
			c.familyText = cmp.Or(c.familyText, strings.TrimSpace(value))
		case "machine":
			c.modelText = cmp.Or(c.modelText, strings.TrimSpace(value))
		}
	}
	return c
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
