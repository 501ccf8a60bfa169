package inspect

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/version"
)

// cudaLibrary is a library of CUDA, and the first release whose it is. The release
// is empty where the name does not tell.
type cudaLibrary struct{ prefix, number, release string }

// cudaLibraries are the numbers that NVIDIA gives to its libraries, which are not
// all those of the release.
func cudaLibraries() []cudaLibrary {
	all := []cudaLibrary{
		{"libcufft.so", "10", "10.1"}, {"libcufft.so", "11", "12.0"}, {"libcufft.so", "12", "13.0"},
		{"libcusolver.so", "10", "10.1"}, {"libcusolver.so", "11", "11.1"}, {"libcusolver.so", "12", "13.0"},
		{"libcusparse.so", "10", "10.1"}, {"libcusparse.so", "11", "11.0"}, {"libcusparse.so", "12", "12.0"},
		{"libnvrtc.so", "11.2", "11.2"},
	}
	for _, library := range []string{"libcudart.so", "libcublas.so", "libcublasLt.so", "libnvrtc.so", "libnvJitLink.so", "libcupti.so", "libnppc.so", "libnvjpeg.so"} {
		for _, major := range []string{"10", "11", "12", "13"} {
			all = append(all, cudaLibrary{library, major, major + ".0"})
		}
		all = append(all, cudaLibrary{library, "10.1", "10.1"}, cudaLibrary{library, "10.2", "10.2"}, cudaLibrary{library, "11.0", "11.0"})
	}
	for _, library := range []string{"libcurand.so", "libcudnn.so", "libnccl.so", "libcutensor.so", "libnvinfer.so", "libcuda.so", "libnvidia-ml.so"} {
		all = append(all, cudaLibrary{prefix: library})
	}
	return all
}

// leastDriver is the first Linux driver that runs programs of a major release of
// CUDA, by the table "CUDA minor version compatibility" of NVIDIA's release notes.
func leastDriver(release string) string {
	major, _, _ := strings.Cut(release, ".")
	return map[string]string{"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}[major]
}

// gpuUse is what one vendor's GPUs are used by.
type gpuUse struct {
	by, library string
	release     string // of CUDA
	because     string // of the release
	optional    bool   // by nothing that a program is linked to
	code        []*GPUCode
}

// add takes one more user: the first that is not optional, and the newest release.
func (g *gpuUse) add(by, library, release string, optional bool) {
	switch {
	case g.optional && !optional:
		*g = gpuUse{code: g.code}
	case optional && !g.optional && g.by != "":
		return
	}
	if g.by == "" {
		g.by, g.library, g.optional = by, library, optional
	}
	if c, ok := version.Compare(g.release, release); release != "" && (g.release == "" || ok && c < 0) {
		g.release, g.because = release, library
	}
}

// gpuNeeds asks for a GPU where a program is linked to a library that drives it, or
// has code for it. What programs open while they run (dlopen) is a note.
func (i *Contents) gpuNeeds(a *answer) {
	linked := i.linked(func(p Program) bool { return !p.Library })
	var nvidia, amd, intel gpuUse
	for n, p := range i.Programs {
		optional := !linked[n]
		static := p.CUDA != nil
		for _, library := range p.Needed {
			if l, ok := cudaOf(library); ok {
				nvidia.add(p.Path, library, l.release, optional)
				static = false
			}
			switch name, _, _ := strings.Cut(library, ".so"); name {
			case "libamdhip64", "libhsa-runtime64", "librocblas", "libhipblas", "libMIOpen":
				amd.add(p.Path, library, "", optional)
			case "libze_loader":
				intel.add(p.Path, library, "", optional)
			}
		}
		if static {
			nvidia.add(p.Path, "", p.CUDA.Release, optional)
		}
		if p.CUDA != nil && !optional {
			nvidia.code = append(nvidia.code, p.CUDA)
		}
	}
	var needs answer
	nvidia.need(&needs, "nvidia", "CUDA")
	amd.need(&needs, "amd", "ROCm")
	intel.need(&needs, "intel", "Level Zero")
	a.notes = append(a.notes, needs.notes...)
	if len(needs.needs) > 1 { // as a framework that is built for each of them has
		a.add(Need{}, "gpu: there are libraries for GPUs of several vendors, so none of them is asked for")
		return
	}
	a.needs = append(a.needs, needs.needs...)
}

func (g *gpuUse) need(a *answer, vendor, platform string) {
	if g.by == "" {
		return
	}
	because := g.by + " has code for GPUs (CUDA, linked statically)"
	switch {
	case g.library == "" && g.release == "":
		because += ", which does not tell the release"
	case g.library != "" && platform != "":
		because = fmt.Sprintf("%s is linked to %s (%s)", g.by, g.library, platform)
	}
	if g.optional {
		a.add(Need{}, fmt.Sprintf("gpu: %s, but no program is linked to it, so it may be opened only where there is a GPU; "+
			"if the image cannot run without, require hardware.gpu.vendor = %s", because, vendor))
		return
	}
	need := vendorNeed(vendor, because)
	if g.release != "" {
		need.Attributes = append(need.Attributes, cudaAttribute(g.release))
		need.Because += fmt.Sprintf("; %s is of CUDA %s or later", cmp.Or(g.because, "the code"), g.release)
		if driver := leastDriver(g.release); driver != "" {
			need.Because += ", which drivers from " + driver + " run"
		}
	}
	if found := capabilities(g.code); found != "" {
		need.Attributes = append(need.Attributes, attributeTo("org.supercontainers", "hardware.gpu.cuda.compute_capability", found))
		need.Because += "; it has code for GPUs of compute capability " + found
	}
	a.add(need, "")
}

// cudaOf tells a library of CUDA by its name.
func cudaOf(library string) (cudaLibrary, bool) {
	var found cudaLibrary
	for _, l := range cudaLibraries() {
		rest, ok := strings.CutPrefix(library, l.prefix)
		if !ok || rest != "" && rest[0] != '.' {
			continue
		}
		number := strings.TrimPrefix(rest, ".")
		if found.prefix == "" || number == l.number || strings.HasPrefix(number, l.number+".") && len(l.number) > len(found.number) {
			found = cudaLibrary{prefix: l.prefix}
			if l.number != "" && (number == l.number || strings.HasPrefix(number, l.number+".")) {
				found = l
			}
		}
	}
	return found, found.prefix != ""
}

// linked returns the programs that begin, and the libraries that they are linked to,
// directly or through others. Where none begins, as in a file that was looked at
// alone, all count.
func (i *Contents) linked(begins func(Program) bool) map[int]bool {
	byName := map[string][]int{}
	reached := map[int]bool{}
	var queue []int
	none := i.Kind == kindProgram || !slices.ContainsFunc(i.Programs, func(p Program) bool { return !p.Library })
	for n, p := range i.Programs {
		for _, name := range []string{path.Base(p.Path), p.Soname} {
			byName[name] = append(byName[name], n)
		}
		if none || begins(p) {
			reached[n] = true
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		p := i.Programs[queue[0]]
		queue = queue[1:]
		for _, name := range p.Needed {
			for _, n := range byName[name] {
				if !reached[n] {
					reached[n] = true
					queue = append(queue, n)
				}
			}
		}
	}
	return reached
}
