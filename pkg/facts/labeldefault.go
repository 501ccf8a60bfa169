package facts

import (
	"slices"
	"strings"
)

// isDefaultLabel reports whether NFD makes a label of one of its own names without
// being configured to: the defaults of its sources cpu, kernel, pci and usb.
func isDefaultLabel(name string) bool {
	family, rest, _ := strings.Cut(name, "-")
	switch family {
	case "cpu":
		flag, isFlag := strings.CutPrefix(rest, "cpuid.")
		isUsual := isFlag && slices.Contains(strings.Fields(unlabelledFlags), flag)
		return !isUsual && !strings.HasPrefix(rest, "rdt.")
	case "kernel":
		option, isOption := strings.CutPrefix(rest, "config.")
		return !isOption || slices.Contains([]string{"NO_HZ", "NO_HZ_IDLE", "NO_HZ_FULL", "PREEMPT"}, option)
	case "pci":
		device, _, _ := strings.Cut(rest, ".")
		return strings.Count(device, "_") == 1 && hasClass(device, "03", "0b40", "12")
	case "usb":
		return hasClass(rest, "0e", "ef", "fe", "ff")
	case "custom": // NFD before 0.14
		return false
	default:
		return true
	}
}

// unlabelledFlags are the CPU flags that NFD makes no label of.
const unlabelledFlags = "AVX10 BMI1 BMI2 CLMUL CMOV CX16 ERMS F16C HTT LZCNT MMX MMXEXT NX POPCNT RDRAND RDSEED RDTSCP SGX SGXLC " +
	"SSE SSE2 SSE3 SSE4 SSE42 SSSE3 TDX_GUEST"

func hasClass(device string, classes ...string) bool {
	return slices.ContainsFunc(classes, func(class string) bool { return strings.HasPrefix(device, class) })
}
