package hostfacts

import (
	"errors"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// riscvProfile is what a profile for applications adds to the one before, as far as
// the kernel prints it.
type riscvProfile struct{ name, adds string }

// riscvProfiles are RVA20U64, RVA22U64 and RVA23U64 of "RISC-V Profiles".
func riscvProfiles() []riscvProfile {
	return []riscvProfile{
		{"20", "i m a f d c"},
		{"22", "zihintpause zba zbb zbs zicbom zicboz zfhmin zkt"},
		{"23", "v zvfhmin zvbb zvkt zihintntl zicond zimop zcmop zcb zfa zawrs"},
	}
}

// collectRISCV sets the extensions and the profile.
func collectRISCV(h host, out *facts.Features) error {
	out.Attributes["cpu.riscv64"] = map[string]string{}
	switch {
	case h.arch != "riscv64" && h.arch != "":
		return nil
	case h.cpuErr != nil:
		return h.cpuErr
	case h.cpu.Arch != "riscv64":
		return errors.New("proc/cpuinfo describes a CPU of another architecture")
	}
	out.Attributes["cpu.riscv64"]["isa"] = riscvISA(h.cpu.Flags)
	profile, cause := riscvProfileOf(h.cpu)
	if cause != "" {
		out.Unknown["cpu.riscv64/profile"] = cause
	} else if profile != "" {
		out.Attributes["cpu.riscv64"]["profile"] = profile
	}
	return nil
}

// riscvISA joins extensions as the kernel does: single letters, then the rest with
// underscores between.
func riscvISA(extensions []string) string {
	var letters, words strings.Builder
	letters.WriteString("rv64")
	for _, extension := range extensions {
		if len(extension) == 1 {
			letters.WriteString(extension)
		} else {
			words.WriteString("_" + extension)
		}
	}
	return letters.String() + words.String()
}

// riscvProfileOf returns the highest profile that the extensions prove; or, where the
// next one lacks only what this kernel does not print, why it is not known.
func riscvProfileOf(c cpuInfo) (profile, cause string) {
	for _, p := range riscvProfiles() {
		var missing, hidden []string
		for _, extension := range strings.Fields(p.adds) {
			if slices.Contains(c.Flags, extension) {
				continue
			}
			missing = append(missing, extension)
			if c.Shows != nil && !c.Shows(extension) {
				hidden = append(hidden, extension)
			}
		}
		switch {
		case len(missing) == 0:
			profile = p.name
		case len(missing) == len(hidden):
			return "", "whether the CPU has " + strings.Join(hidden, ", ") + " is not known"
		default:
			return profile, ""
		}
	}
	return profile, ""
}
