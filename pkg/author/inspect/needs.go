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
func FromFacts(known *facts.Facts, families []string) (needs []Need, notes []string) {
	looks := map[string]func(*facts.Facts) (Need, string){
		"cpu": cpuNeed, "kernel": kernelNeed, "libc": libcNeed, "mpi": mpiNeed, "gpu": gpuNeed,
	}
	var a answer
	for _, family := range families {
		if look, ok := looks[family]; ok {
			a.add(look(known))
		} else {
			a.add(Need{}, textutil.Short(family)+": nothing is known of it")
		}
	}
	return a.needs, a.notes
}

// answer is what an image asks for, and notes on what is not asked.
type answer struct {
	needs []Need
	notes []string
}

// add takes a need and a note, as far as there are any.
func (a *answer) add(n Need, note string) {
	if len(n.Attributes) > 0 {
		a.needs = append(a.needs, n)
	}
	if note != "" {
		a.notes = append(a.notes, note)
	}
}

func attributeTo(group, key, value string) compat.Attribute {
	return compat.Attribute{Group: group, Key: key, Value: value}
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
	need := Need{Because: "the node runs kernel " + full.Value + "; lower it to the oldest that you have tried"}
	for i, key := range []string{"kernel-version.major", "kernel-version.minor"} {
		part := attributeTo("nfd", key, fmt.Sprint(v[i]))
		part.Kind = compat.Number
		need.Attributes = append(need.Attributes, part)
	}
	return need, ""
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
	series := ""
	because := "the node has the MPI " + name.Value
	if found := known.Lookup("mpi.host", "version"); found.State == facts.Present {
		parts := strings.SplitN(found.Value, ".", 3)
		series = strings.Join(parts[:min(2, len(parts))], ".")
		because += " " + found.Value
	}
	return Need{mpiAttributes(name.Value, series), because}, ""
}

// mpiAttributes ask for an MPI, and for its series if that is known.
func mpiAttributes(implementation, series string) []compat.Attribute {
	all := []compat.Attribute{attributeTo("org.supercontainers", "mpi.implementation", implementation)}
	if series != "" {
		all = append(all, attributeTo("org.supercontainers", "mpi.version", series))
	}
	return all
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
		major, _, _ := strings.Cut(cuda.Value, ".")
		need.Attributes = append(need.Attributes, cudaAttribute(major+".0"))
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
