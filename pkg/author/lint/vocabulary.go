package lint

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// feature is a feature set that nodes can have.
type feature struct {
	// elements are all there can be, in the order of the documentation; none
	// where others are possible.
	elements []string
}

// vocabulary is what nodes can offer, as the collectors of facts declare it.
type vocabulary struct {
	features map[string]feature
	names    []string
	families []string
	x86      []string // flags of cpu.cpuid of x86 alone
	flags    []string // all flags of cpu.cpuid
}

func newVocabulary() *vocabulary {
	v := &vocabulary{features: map[string]feature{}, families: append(hostfacts.Families(), "rule")}
	for _, set := range hostfacts.Sets() {
		v.features[set.Name] = feature{elements: set.Names()}
		v.names = append(v.names, set.Name)
	}
	const ofRules = "rule.matched" // NFD's, which needs a cluster
	v.features[ofRules] = feature{}
	v.names = append(v.names, ofRules)
	var others []string
	v.x86, others = hostfacts.CPUFlags()
	v.flags = slices.Concat(v.x86, others)
	return v
}

// isFamily reports whether sets of the family are collected. What is of another
// family may be the operator's own.
func (v *vocabulary) isFamily(set string) bool {
	family, _, _ := strings.Cut(set, ".")
	return slices.Contains(v.families, family)
}

// isX86Flag reports whether only CPUs of x86 have the flag.
func (v *vocabulary) isX86Flag(flag string) bool { return slices.Contains(v.x86, flag) }

// spelling is a wrong way to write the values of an element.
type spelling struct {
	set, element string
	values       map[string]string // wrong, in lower case, to right
}

// spellings are values that people write and no node has. NFD and imagefit give
// the vendor of a CPU a name of their own instead of that of CPUID.
func spellings() []spelling {
	return []spelling{
		{"cpu.model", "vendor_id", map[string]string{
			"amd": "AMD", "authenticamd": "AMD", "intel": "Intel", "genuineintel": "Intel", "arm": "ARM",
			"hygongenuine": "Hygon", "hygon": "Hygon",
		}},
		{"gpu.device", "vendor", map[string]string{"nvidia": "nvidia", "amd": "amd", "intel": "intel"}},
		{"system.libc", "implementation", map[string]string{"glibc": "glibc", "gnu": "glibc", "musl": "musl"}},
		{"cpu.pstate", "status", map[string]string{"active": "active", "passive": "passive"}},
		{"storage.block", "rotational", map[string]string{"true": "1", "false": "0", "yes": "1", "no": "0"}},
		{"mpi.host", "implementation", map[string]string{
			"open-mpi": "openmpi", "ompi": "openmpi", "openmpi": "openmpi", "intelmpi": "intel-mpi", "impi": "intel-mpi", "mpich": "mpich",
		}},
	}
}

// switchSpellings are the values that people write for true and false.
func switchSpellings() map[string]string {
	return map[string]string{
		"yes": "true", "no": "false", "on": "true", "off": "false", "enabled": "true", "disabled": "false",
		"1": "true", "0": "false", "true": "true", "false": "false",
	}
}

// rightValue returns how nodes write a value, if they write it differently.
func rightValue(set, element, value string) (string, bool) {
	if set == "pci.device" || set == "usb.device" {
		return rightID(element, value)
	}
	for _, s := range spellings() {
		if s.set == set && s.element == element {
			right, ok := s.values[strings.ToLower(value)]
			return right, ok && right != value
		}
	}
	right, ok := switchSpellings()[strings.ToLower(value)]
	return right, ok && right != value && isSwitch(set, element)
}

func isSwitch(set, element string) bool {
	declared, _ := hostfacts.FindSet(set)
	return declared.IsSwitch(element)
}

// rightID writes an identifier of a device as the kernel does: hexadecimal, in
// lower case, without 0x.
func rightID(element, value string) (string, bool) {
	switch element {
	case "class", "vendor", "device", "subsystem_vendor", "subsystem_device":
		right := strings.TrimPrefix(strings.ToLower(value), "0x")
		return right, right != value && right != ""
	default:
		return "", false
	}
}
