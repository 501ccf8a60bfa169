package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/imagefit/imagefit/pkg/facts"
)

// rdtFlags lists the elements of cpu.rdt and the kernel's CPU flags that all
// each of them needs. The kernel hides what the command line disables, so this is
// what can be used, and not only what the CPU could do.
func rdtFlags() map[string][]string {
	return map[string][]string{
		"RDTMON":  {"cqm_llc"},
		"RDTCMT":  {"cqm_llc", "cqm_occup_llc"},
		"RDTMBM":  {"cqm_llc", "cqm_mbm_total", "cqm_mbm_local"},
		"RDTL3CA": {"rdt_a", "cat_l3"},
		"RDTL2CA": {"rdt_a", "cat_l2"},
		"RDTMBA":  {"rdt_a", "mba"},
	}
}

// collectRDT reads Intel's resource director technology, which AMD has too. On
// other architectures the set is known and empty.
func collectRDT(h host, out *facts.Features) error {
	if h.cpuErr != nil {
		return h.cpuErr
	}
	rdt := map[string]string{}
	out.Attributes["cpu.rdt"] = rdt
	if h.arch != "amd64" && h.arch != "386" {
		return nil
	}
	for element, flags := range rdtFlags() {
		if !slices.ContainsFunc(flags, func(flag string) bool { return !slices.Contains(h.cpu.Flags, flag) }) {
			rdt[element] = "true"
		}
	}
	if rdt["RDTL3CA"] == "" {
		return nil
	}
	const element = "RDTL3CA_NUM_CLOSID"
	classes, err := l3Classes(h.root)
	setElement(out, "cpu.rdt", element, classes, err)
	if err == nil {
		out.Origins["cpu.rdt/"+element] = "/sys/fs/resctrl/info/L3/num_closids"
	}
	return nil
}

// l3Classes returns the number of classes of service beside the default one.
func l3Classes(root Root) (string, error) {
	text, err := readTrimmed(root, "sys/fs/resctrl/info/L3/num_closids")
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("resctrl is not mounted at /sys/fs/resctrl")
	}
	if err != nil {
		return "", err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return "", fmt.Errorf("num_closids of resctrl is %.32q, not a count", text)
	}
	return strconv.FormatUint(n-1, 10), nil
}
