package hostfacts

import (
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
