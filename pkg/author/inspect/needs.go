package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
	"github.com/imagefit/imagefit/pkg/version"
)

// Need is something that an image asks for, and why.
type Need struct {
	Attributes []compat.Attribute
	Because    string
}

// AttributesOf returns what needs ask for.
func AttributesOf(needs []Need) []compat.Attribute {
	var attributes []compat.Attribute
	for _, n := range needs {
		attributes = append(attributes, n.Attributes...)
	}
	return attributes
}

// Families returns what FromFacts can take from a node.
func Families() []string { return []string{"cpu", "kernel", "libc", "mpi", "gpu"} }

// FromFacts returns the least that makes a node like this one: an image that
// was built and tried there runs on all such nodes. What tells the node from
// others of its kind is left out. The notes say what is not known.
func FromFacts(facts *facts.Facts, families []string) (needs []Need, notes []string) {
	for _, family := range families {
		var n Need
		var note string
		switch family {
		case "cpu":
			n, note = cpuNeed(facts)
		case "kernel":
			n, note = kernelNeed(facts)
		case "libc":
			n, note = libcNeed(facts)
		case "mpi":
			n, note = mpiNeed(facts)
		case "gpu":
			n, note = gpuNeed(facts)
		default:
			note = fmt.Sprintf("%s: nothing is known of it", textutil.Short(family))
		}
		if len(n.Attributes) > 0 {
			needs = append(needs, n)
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	return needs, notes
}

func attributeTo(group, key, value string) compat.Attribute {
	return compat.Attribute{Group: group, Key: key, Value: value}
}

func numberTo(group, key string, value uint64) compat.Attribute {
	return compat.Attribute{Group: group, Key: key, Value: fmt.Sprint(value), Kind: compat.Number}
}

func targetNeed(target, because string) Need {
	return Need{[]compat.Attribute{attributeTo("io.archspec", "target", target)}, because}
}

func cpuNeed(known *facts.Facts) (Need, string) {
	if level := known.Lookup("cpu.x86_64", "level"); level.State == facts.Present {
		target := "x86_64"
		if level.Value != "1" {
			target += "_v" + level.Value
		}
		if archspec.Known(target) {
			return targetNeed(target, "the CPU of the node has x86-64 level "+level.Value+"; its model is left out"), ""
		}
	}
	level := known.Lookup("cpu.arm64", "level").Value
	if target := "armv" + level + "a"; archspec.Known(target) {
		return targetNeed(target, "the CPU of the node is of Armv"+level+"-A; its model is left out"), ""
	}
	family := known.Lookup("cpu.microarchitecture", "family")
	if family.State == facts.Present && archspec.Known(family.Value) {
		return targetNeed(family.Value, "the CPU of the node is of this family; its model is left out"), ""
	}
	return Need{}, "cpu: the node's CPU is not known"
}

func kernelNeed(known *facts.Facts) (Need, string) {
	full := known.Lookup("kernel.version", "full")
	v, ok := version.Parse(full.Value)
	if full.State != facts.Present || !ok || len(v) < 2 {
		return Need{}, "kernel: its version is not known"
	}
	return Need{
		[]compat.Attribute{numberTo("nfd", "kernel-version.major", v[0]), numberTo("nfd", "kernel-version.minor", v[1])},
		"the node runs kernel " + full.Value + "; lower it to the oldest that you have tried",
	}, ""
}

func libcNeed(known *facts.Facts) (Need, string) {
	name, found := known.Lookup("system.libc", "implementation"), known.Lookup("system.libc", "version")
	if name.Value != "glibc" || found.State != facts.Present {
		return Need{}, "libc: the node's is not glibc, or its version is not known"
	}
	return glibcNeed(found.Value, "the node has glibc "+found.Value+"; an image that brings its own C library does not need this"), ""
}

func glibcNeed(least, because string) Need {
	return Need{[]compat.Attribute{attributeTo("oci", "oci.os.glibc", "["+least+",)")}, because}
}

func mpiNeed(known *facts.Facts) (Need, string) {
	name := known.Lookup("mpi.host", "implementation")
	if name.State != facts.Present {
		return Need{}, "mpi: the node has none, or several"
	}
	need := Need{
		[]compat.Attribute{attributeTo("org.supercontainers", "mpi.implementation", name.Value)},
		"the node has the MPI " + name.Value,
	}
	if found := known.Lookup("mpi.host", "version"); found.State == facts.Present {
		need.Attributes = append(need.Attributes, attributeTo("org.supercontainers", "mpi.version", minor(found.Value)))
		need.Because += " " + found.Value
	}
	return need, ""
}

func gpuNeed(known *facts.Facts) (Need, string) {
	devices, _ := known.Instances("gpu.device")
	vendors := map[string]bool{}
	for _, d := range devices {
		vendors[d["vendor"]] = true
	}
	names := slices.Collect(maps.Keys(vendors))
	if len(names) != 1 || names[0] == "" {
		return Need{}, "gpu: the node has none, or GPUs of several vendors"
	}
	need := vendorNeed(names[0], "the node has GPUs of "+names[0])
	if cuda := known.Lookup("gpu.nvidia", "cuda_version"); cuda.State == facts.Present {
		need.Attributes = append(need.Attributes, cudaAttribute(major(cuda.Value)+".0"))
		need.Because += ", whose driver supports CUDA " + cuda.Value + "; programs for one major release run with each of its drivers"
	}
	return need, ""
}

func vendorNeed(vendor, because string) Need {
	return Need{[]compat.Attribute{attributeTo("org.supercontainers", "hardware.gpu.vendor", vendor)}, because}
}

func cudaAttribute(least string) compat.Attribute {
	return attributeTo("org.supercontainers", "hardware.gpu.cuda.version", least)
}

func major(v string) string {
	first, _, _ := strings.Cut(v, ".")
	return first
}

func minor(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
