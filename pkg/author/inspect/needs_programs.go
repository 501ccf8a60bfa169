package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// Needs returns what the programs need of a node, and notes on what they need
// that is in the image or cannot be told.
func (i *Contents) Needs() (needs []Need, notes []string) {
	if len(i.Programs) == 0 {
		return nil, []string{"no program or library in ELF format was found"}
	}
	var a answer
	a.add(i.cpuNeed())
	a.add(i.glibcNeed())
	a.add(i.mpiNeed())
	if gpus := i.gpuNeeds(); len(gpus) > 1 { // as a framework that is built for each of them has
		a.add(Need{}, "gpu: there are libraries for GPUs of several vendors, so none of them is asked for")
	} else {
		a.needs = append(a.needs, gpus...)
	}
	for _, s := range i.Skipped {
		a.add(Need{}, "skipped "+s)
	}
	return a.needs, a.notes
}

// cpuNeed takes the highest level that any program says it needs, and else the
// architecture. Variants in directories for better CPUs are chosen by the
// loader, so they ask nothing.
func (i *Contents) cpuNeed() (Need, string) {
	level, by := 0, ""
	archs := map[string]string{}
	for _, p := range i.Programs {
		if p.Arch != "" && archs[p.Arch] == "" {
			archs[p.Arch] = p.Path
		}
		if p.Level > level && !strings.Contains(p.Path, "glibc-hwcaps/") {
			level, by = p.Level, p.Path
		}
	}
	names := slices.Sorted(maps.Keys(archs))
	targets := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "riscv64": "riscv64"}
	switch {
	case level > 1:
		return targetNeed(fmt.Sprintf("x86_64_v%d", level), fmt.Sprintf("%s is built for x86-64-v%d", by, level)), ""
	case len(names) != 1:
		return Need{}, "cpu: there are programs for several architectures: " + strings.Join(names, ", ")
	case targets[names[0]] == "":
		return Need{}, "cpu: archspec has no name for " + names[0]
	default:
		note := ""
		if names[0] == "amd64" && level == 0 {
			note = "cpu: no program notes down its x86-64 level; if you built for more than the first (-march, GOAMD64), raise the target"
		}
		return targetNeed(targets[names[0]], archs[names[0]]+" is a program for "+names[0]), note
	}
}

// glibcNeed asks for a C library only where the image has none.
func (i *Contents) glibcNeed() (Need, string) {
	least, by := "", ""
	for _, p := range i.Programs {
		if p.GlibC != "" && newer(least, p.GlibC) != least {
			least, by = p.GlibC, p.Path
		}
	}
	switch {
	case least == "":
		return Need{}, ""
	case i.Names["libc.so.6"]:
		return Need{}, fmt.Sprintf("glibc: %s needs %s, and the image brings its own C library, so the node needs none", by, least)
	default:
		where := "the image"
		if i.Alone {
			where = "the file"
		}
		return glibcNeed(least, fmt.Sprintf("%s uses symbols of GLIBC_%s, and %s brings no C library", by, least, where)), ""
	}
}

// needing returns the first program that needs a library of one of the
// prefixes, and the library's name.
func (i *Contents) needing(prefixes ...string) (by, library string) {
	for _, p := range i.Programs {
		for _, name := range p.Needed {
			for _, prefix := range prefixes {
				if name == prefix || strings.HasPrefix(name, prefix+".") {
					return p.Path, name
				}
			}
		}
	}
	return "", ""
}

// mpiNeed tells the family of the MPI by its library. Where the image has the
// library itself its file name tells the series, too.
func (i *Contents) mpiNeed() (Need, string) {
	by, library := i.needing("libmpi.so", "libmpich.so", "libmpi_cray.so")
	if by == "" {
		return Need{}, ""
	}
	var implementation string
	switch {
	case library == "libmpi.so.40" || library == "libmpi.so.20":
		implementation = "openmpi"
	case library == "libmpi.so.12" || library == "libmpich.so.12":
		implementation = "mpich"
	case strings.HasPrefix(library, "libmpi_cray"):
		implementation = "cray-mpich"
	default:
		return Need{}, fmt.Sprintf("mpi: %s needs %s, which does not tell the MPI", by, library)
	}
	need := Need{
		[]compat.Attribute{attributeTo("org.supercontainers", "mpi.implementation", implementation)},
		by + " is linked to " + library,
	}
	// Open MPI raises the library's own number with each series.
	allSeries := map[string]string{"10": "3.1", "20": "4.0", "30": "4.1", "40": "5.0"}
	for _, name := range slices.Sorted(maps.Keys(i.Names)) {
		rest, ok := strings.CutPrefix(name, "libmpi.so.40.")
		number, _, _ := strings.Cut(rest, ".")
		if series := allSeries[number]; ok && implementation == "openmpi" && series != "" {
			need.Attributes = append(need.Attributes, attributeTo("org.supercontainers", "mpi.version", series))
			need.Because += ", of Open MPI " + series
			break
		}
	}
	return need, ""
}

func (i *Contents) gpuNeeds() []Need {
	var needs []Need
	nvidia, library := i.needing("libcudart.so", "libcublas.so", "libcufft.so", "libcusolver.so", "libcusparse.so", "libnvrtc.so")
	if nvidia == "" {
		nvidia, library = i.needing("libcuda.so", "libnvidia-ml.so")
	}
	if nvidia != "" {
		need := vendorNeed("nvidia", nvidia+" is linked to "+library)
		if release, ok := strings.CutPrefix(library, "libcudart.so."); ok {
			if !strings.Contains(release, ".") {
				release += ".0" // any driver of the major release
			}
			need.Attributes = append(need.Attributes, cudaAttribute(release))
			need.Because += ", which any driver for CUDA " + release + " or later runs"
		}
		needs = append(needs, need)
	}
	if by, library := i.needing("libamdhip64.so", "libhsa-runtime64.so", "librocblas.so"); by != "" {
		needs = append(needs, vendorNeed("amd", by+" is linked to "+library+" (ROCm)"))
	}
	if by, library := i.needing("libze_loader.so"); by != "" {
		needs = append(needs, vendorNeed("intel", by+" is linked to "+library+" (Level Zero)"))
	}
	return needs
}
