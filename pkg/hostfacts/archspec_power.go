package hostfacts

import (
	"strconv"
	"strings"
)

func isPower(arch string) bool { return arch == "ppc64" || arch == "ppc64le" }

// powerArch tells ppc64le from ppc64, which proc/cpuinfo does not. It is empty
// where the tree does not say either.
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

// bothByteOrders returns what the CPU is in either byte order, where a tree
// does not tell which its kernel has. The CPU can do both, and an image for the
// other one is none for its platform.
func bothByteOrders(h host) []string {
	if h.live || powerArch(h.root) != "" {
		return nil
	}
	return append(recognise("ppc64le", h.cpu).lineage(), recognise("ppc64", h.cpu).lineage()...)
}

// powerGeneration reads the 9 of "POWER9, altivec supported".
func powerGeneration(cpu string) int {
	_, rest, _ := strings.Cut(cpu, "POWER")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	generation, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return generation
}
