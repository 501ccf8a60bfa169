package facts

import "strings"

// ARMFlags returns NFD's names of flags of 32-bit ARM that the kernel or Go name: in
// upper case, but for those of the floating-point units.
func ARMFlags(flags []string) []string {
	names := make([]string, 0, len(flags))
	for _, flag := range flags {
		name := strings.ToUpper(flag)
		switch {
		case name == "FASTMULT":
			name = "FASTMUL"
		case strings.HasPrefix(name, "VFPV"):
			name = "VFPv" + name[len("VFPV"):]
		}
		names = append(names, name)
	}
	return names
}
