package hostfacts

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

func isPower(arch string) bool { return arch == "ppc64" || arch == "ppc64le" }

// powerArch distinguishes ppc64le from ppc64, which proc/cpuinfo does not. It is
// empty where the rest of the tree does not either.
func powerArch(root Root) string {
	if order, err := readTrimmed(root, "sys/kernel/cpu_byteorder"); err == nil && order != "" {
		if order == "big" {
			return "ppc64"
		}
		return "ppc64le"
	}
	release, err := readTrimmed(root, "proc/sys/kernel/osrelease")
	switch { // of Red Hat it ends in ppc64le, of Debian in powerpc64le
	case err == nil && strings.HasSuffix(release, "pc64le"):
		return "ppc64le"
	case err == nil && strings.HasSuffix(release, "pc64"):
		return "ppc64"
	default:
		return ""
	}
}

// powerGeneration is what proc/cpuinfo calls a CPU with these flags, as far as they
// tell; empty where they do not.
func powerGeneration(flags []string) string {
	generation := ""
	for _, of := range [][2]string{{"ARCH_2_06", "POWER7"}, {"ARCH_2_07", "POWER8"}, {"ARCH_3_00", "POWER9"}, {"ARCH_3_1", "POWER10"}} {
		if slices.Contains(flags, of[0]) {
			generation = of[1]
		}
	}
	return generation
}

// powerFlagNames are NFD's names of the bits of AT_HWCAP and AT_HWCAP2 of POWER, from
// the highest of 32 on; a dash is a bit without a name.
const powerFlagNames = powerHwcap + " " + powerHwcap2

const (
	powerHwcap = "PPC32 PPC64 PPC601 ALTIVEC FPU MMU 4xxMAC UCACHE SPE EFPFLOAT EFPDOUBLE NOTB POWER4 POWER5 POWER5+ CELLBE " +
		"BOOKE SMT IC_SNOOP ARCH_2_05 PA6T DFP POWER6X ARCH_2_06 VSX ARCHPMU - - - - TRUE_LE PPCLE"
	powerHwcap2 = "ARCH_2_07 HTM DSCR EBB ISEL TAR VCRYPTO HTM-NOSC ARCH_3_00 IEEE128 DARN SCV HTM-NO-SUSPEND ARCH_3_1 MMA"
)

// powerFlags are the flags of this process's CPU. The files of POWER do not have them.
func powerFlags(h host) ([]string, error) {
	if !h.live {
		return nil, errors.New("the CPU flags of POWER are in no file, only in the auxiliary vector of a process on the node")
	}
	data, err := h.root.ReadHead("proc/self/auxv", maxDriverText)
	if err != nil {
		return nil, err
	}
	return powerFlagsOf(data, binary.NativeEndian)
}

// powerFlagsOf reads the auxiliary vector of a 64-bit process: pairs of a kind and a
// value.
func powerFlagsOf(auxv []byte, order binary.ByteOrder) ([]string, error) {
	const hwcap, hwcap2, word = 16, 26, 8
	var flags []string
	found := false
	for ; len(auxv) >= 2*word; auxv = auxv[2*word:] {
		names := map[uint64]string{hwcap: powerHwcap, hwcap2: powerHwcap2}[order.Uint64(auxv)]
		found = found || names != ""
		value := order.Uint64(auxv[word:])
		for i, name := range strings.Fields(names) {
			if name != "-" && value&(1<<(31-i)) != 0 {
				flags = append(flags, name)
			}
		}
	}
	if !found {
		return nil, errors.New("the auxiliary vector has no AT_HWCAP")
	}
	return flags, nil
}
