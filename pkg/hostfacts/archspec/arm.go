package archspec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// armLevel is the version of the ARM architecture that a CPU has in full. Armv9.x
// includes all of Armv8.(x+5); v9 is below 0 on a CPU of Armv8.
type armLevel struct{ v8, v9 int }

// armLevelFlags are the flags of what a version made mandatory, as far as the
// kernel shows it to programs: the first is what Armv8.1 added, and so on.
// Left out is ssbs, mandatory for no compiler and hidden by the kernel on CPUs
// where it does not work.
func armLevelFlags() []string {
	return []string{
		"asimdrdm atomics crc32",
		"dcpop",
		"fcma jscvt lrcpc paca pacg",
		"asimddp dit flagm ilrcpc uscat",
		"bti dcpodp flagm2 frint sb",
		"bf16 ecv i8mm",
		"afp wfxt",
		"hbc mops",
		"cssc",
	}
}

// armLevelOf returns the level that the flags prove, or the one implied by the name
// of the CPU, where that is higher: a kernel older than the CPU, or a hypervisor,
// does not show all features.
func armLevelOf(flags []string, m microarch) armLevel {
	has := make(map[string]bool, len(flags))
	for _, flag := range flags {
		has[flag] = true
	}
	level := armLevel{v9: -1}
	for _, wanted := range armLevelFlags() {
		if slices.ContainsFunc(strings.Fields(wanted), func(flag string) bool { return !has[flag] }) {
			break
		}
		level.v8++
	}
	for minor := range len(armLevelFlags()) + 1 {
		if m.is(fmt.Sprintf("armv8.%da", minor)) {
			level.v8 = max(level.v8, minor)
		}
		if m.is(fmt.Sprintf("armv9.%da", minor)) {
			level = armLevel{v8: max(level.v8, minor+5), v9: minor}
		}
	}
	if has["sve2"] || level.v9 >= 0 {
		level.v9 = level.v8 - 5 // below 0 where not all of Armv8.5 is there
	}
	return level
}

func (l armLevel) String() string {
	if l.v9 >= 0 {
		return fmt.Sprintf("9.%d", l.v9)
	}
	return fmt.Sprintf("8.%d", l.v8)
}

// names returns the archspec names of the level and of those it includes.
func (l armLevel) names() []string {
	var names []string
	add := func(major, minor int) {
		if name := fmt.Sprintf("armv%d.%da", major, minor); Known(name) {
			names = append(names, name)
		}
	}
	for minor := range l.v8 + 1 {
		add(8, minor)
	}
	for minor := range l.v9 + 1 {
		add(9, minor)
	}
	return names
}

// armLevelNamed returns the level that a target of the table stands for.
func armLevelNamed(name string) (armLevel, bool) {
	digits, isLevel := strings.CutPrefix(strings.TrimSuffix(name, "a"), "armv")
	major, minor, hasMinor := strings.Cut(digits, ".")
	n, err := strconv.Atoi(minor)
	switch {
	case !isLevel || !hasMinor || err != nil:
		return armLevel{}, false
	case major == "9":
		return armLevel{v8: n + 5, v9: n}, true
	default:
		return armLevel{v8: n, v9: -1}, true
	}
}

// flags returns what the kernel shows of a CPU that has the level in full.
func (l armLevel) flags() []string {
	flags := []string{"fp", "asimd"}
	for _, added := range armLevelFlags()[:min(l.v8, len(armLevelFlags()))] {
		flags = append(flags, strings.Fields(added)...)
	}
	if l.v9 >= 0 {
		flags = append(flags, "sve", "sve2")
	}
	return flags
}
