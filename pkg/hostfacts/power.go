package hostfacts

import "strings"

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
