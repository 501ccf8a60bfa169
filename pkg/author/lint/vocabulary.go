package lint

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// vocabulary is what nodes can offer, as the collectors of facts declare it.
type vocabulary struct {
	// features are the elements of each set in the order of the documentation,
	// none where others are possible.
	features map[string][]string
	names    []string
	families []string
	x86      []string // flags of cpu.cpuid of x86 alone
	flags    []string // all flags of cpu.cpuid
}

func newVocabulary() *vocabulary {
	v := &vocabulary{families: append(hostfacts.Families(), "rule")}
	const ofRules = "rule.matched" // NFD's, which needs a cluster
	v.features = map[string][]string{ofRules: nil}
	for _, set := range hostfacts.Sets() {
		v.features[set.Name] = set.Names()
		v.names = append(v.names, set.Name)
	}
	v.names = append(v.names, ofRules)
	var others []string
	v.x86, others = hostfacts.CPUFlags()
	v.flags = slices.Concat(v.x86, others)
	return v
}

// spellings are values that people write and no node has, in lower case, each
// with the right one, by set and element. NFD and imagefit give the vendor of a
// CPU a name of their own instead of that of CPUID.
func spellings() map[string]map[string]string {
	return map[string]map[string]string{
		"cpu.model vendor_id": {
			"amd": "AMD", "authenticamd": "AMD", "intel": "Intel", "genuineintel": "Intel", "arm": "ARM",
			"hygongenuine": "Hygon", "hygon": "Hygon",
		},
		"gpu.device vendor":          {"nvidia": "nvidia", "amd": "amd", "intel": "intel"},
		"system.libc implementation": {"glibc": "glibc", "gnu": "glibc", "musl": "musl"},
		"cpu.pstate status":          {"active": "active", "passive": "passive"},
		"storage.block rotational":   {"true": "1", "false": "0", "yes": "1", "no": "0"},
		"mpi.host implementation": {
			"open-mpi": "openmpi", "ompi": "openmpi", "openmpi": "openmpi", "intelmpi": "intel-mpi", "impi": "intel-mpi", "mpich": "mpich",
		},
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
	lower := strings.ToLower(value)
	if set == "pci.device" || set == "usb.device" { // the kernel writes hexadecimal, in lower case, without 0x
		right := strings.TrimPrefix(lower, "0x")
		isID := slices.Contains([]string{"class", "vendor", "device", "subsystem_vendor", "subsystem_device"}, element)
		return right, isID && right != value && right != ""
	}
	values, known := spellings()[set+" "+element]
	if declared, _ := hostfacts.FindSet(set); !known && declared.IsSwitch(element) {
		values = switchSpellings()
	}
	right, ok := values[lower]
	return right, ok && right != value
}
