package archspec

import (
	"slices"
	"strconv"
	"strings"
)

// Fit says which targets a CPU can run. Every other target of the table is known
// not to run on it.
type Fit struct {
	Runs []string
	// Unsure has the targets of which it is not known, each with the cause.
	Unsure map[string]string
}

// FitOf returns the targets that a CPU can run, whatever its own name is. A
// hypervisor hides some features of the CPU it runs on, and a CPU can have all
// features of one that it does not descend from.
//
// A target runs where the CPU has all features that it lists. It does not run
// where the CPU is of another family or lacks a feature that compilers use without
// being asked. Else it is not known.
func FitOf(cpu CPU) Fit {
	fit := Fit{Unsure: map[string]string{}}
	if cpu.AnyByteOrder {
		little, big := cpu, cpu
		little.Arch, big.Arch, little.AnyByteOrder, big.AnyByteOrder = "ppc64le", "ppc64", false, false
		fit.Runs = slices.Concat(FitOf(big).Runs, FitOf(little).Runs)
		return fit
	}
	family := familyOf(cpu.Arch)
	test := tester{cpu: cpu, weights: weights(family), has: flagSet(cpu.Flags)}
	m := recognise(cpu)
	own := m.lineage()
	if cpu.Arch == "arm64" {
		own = append(own, armLevelOf(cpu.Flags, m).names()...)
	}
	byGeneration := fitTest(cpu)
	for _, target := range load().all {
		var runs bool
		var cause string
		switch {
		case slices.Contains(own, target.name):
			runs = true
		case is32BitOf(cpu.Arch, target.name):
			cause = "whether the kernel runs 32-bit programs is not known"
		case !target.is(family):
		case isPower(cpu.Arch):
			runs = byGeneration(target)
		default:
			runs, cause = test.run(target)
		}
		if runs {
			fit.Runs = append(fit.Runs, target.name)
		} else if cause != "" {
			fit.Unsure[target.name] = cause
		}
	}
	if !slices.Contains(fit.Runs, family) { // one without a table
		fit.Runs = append(fit.Runs, family)
	}
	return fit
}

func isPower(arch string) bool { return arch == "ppc64" || arch == "ppc64le" }

// is32BitOf reports whether a target is of the 32-bit architecture that most
// CPUs of an architecture have too.
func is32BitOf(arch, target string) bool {
	family := map[string]string{"amd64": "x86", "arm64": "arm"}[arch]
	return family != "" && load().byName[target].is(family)
}

// tester holds a CPU against the features of targets.
type tester struct {
	cpu     CPU
	weights map[string]weight
	has     map[string]bool
}

// run reports whether the CPU runs a target, and if that is not known, why.
func (t tester) run(target microarch) (runs bool, cause string) {
	level, isLevel := armLevelNamed(target.name)
	features := target.features
	if isLevel {
		features = level.flags()
	}
	// A level of the psABI is a contract: the C library of a distribution built for
	// it does not start without every feature of it.
	whole := t.cpu.Arch == "amd64" && target.isGeneric()
	var hidden, missing []string
	for _, feature := range features {
		switch weight := t.weights[feature]; {
		case t.has[feature], weight == harmless:
		case t.cpu.Shows != nil && !t.cpu.Shows(feature):
			hidden = append(hidden, feature)
		case whole, weight == emitted:
			return false, ""
		default:
			missing = append(missing, feature)
		}
	}
	switch {
	case len(missing) > 0:
		return false, "the CPU does not show " + few(missing)
	case len(hidden) > 0:
		return false, "whether the CPU has " + few(hidden) + " is not known"
	default:
		return true, ""
	}
}

// few lists at most four names.
func few(names []string) string {
	const most = 4
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(names, ", ")
}

// PerFeature is what a feature adds to the specificity: more than twice what all
// ancestors of a target add.
const PerFeature = 64

// Specificity orders targets that run on one CPU by how close to it they are: the
// one that uses more of its features is the closer. It is 0 for a name that is not
// in the table.
func Specificity(name string) int { return load().byName[name].specificity }

// countFeatures counts the features first, and of equals the ancestors.
func (m microarch) countFeatures() int {
	features := len(m.features)
	if level, isLevel := armLevelNamed(m.name); isLevel {
		features = len(level.flags())
	}
	if generation, err := strconv.Atoi(m.id); err == nil { // of POWER
		features = generation
	}
	return 1 + features*PerFeature + len(m.ancestors)
}
