package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options are what the author knows and the programs do not tell.
type Options struct {
	// HostMPI says that the node's MPI is put in place of the image's.
	HostMPI bool
	// Base is what the image is built on.
	Base *Contents
}

// Needs returns what the programs need of a node, and notes on what they need
// that is in the image or cannot be told.
func (i *Contents) Needs(o Options) (needs []Need, notes []string) {
	if len(i.Programs) == 0 {
		return nil, []string{"no program or library in ELF format was found"}
	}
	var a answer
	if note := i.otherPlatform(); note != "" {
		a.add(Need{}, note)
	}
	i.cpuNeeds(&a)
	a.add(i.glibcNeed(o.Base))
	a.add(i.mpiNeed(o.HostMPI))
	i.gpuNeeds(&a)
	for _, s := range i.Skipped {
		a.add(Need{}, "skipped "+s)
	}
	return a.needs, a.notes
}

// otherPlatform says that no program is for the platform that the image states.
func (i *Contents) otherPlatform() string {
	parts := strings.Split(i.Platform, "/")
	if len(parts) < 2 {
		return ""
	}
	for _, p := range i.Programs {
		if p.Arch == parts[1] || p.Arch == "" {
			return ""
		}
	}
	return fmt.Sprintf("platform: the image states %s, but %s is a program for %s", i.Platform, i.Programs[0].Path, i.Programs[0].Arch)
}

// glibcNeed asks a C library of the node only where an image has none. A program or
// a folder will be put into an image, whose C library is not known without base.
func (i *Contents) glibcNeed(base *Contents) (Need, string) {
	least, by := "", ""
	for _, p := range i.Programs {
		if p.GlibC != "" && newer(least, p.GlibC) != least {
			least, by = p.GlibC, p.Path
		}
	}
	uses := fmt.Sprintf("%s uses symbols of GLIBC_%s", by, least)
	switch {
	case least == "":
		return Need{}, ""
	case i.Names["libc.so.6"]:
		return Need{}, fmt.Sprintf("glibc: %s, and the image brings its own C library, so the node needs none", uses)
	case base != nil:
		return Need{}, "glibc: " + uses + base.glibcOf(least)
	case i.Kind.IsPart():
		return Need{}, fmt.Sprintf("glibc: %s: the image that it is put into needs a C library that is not older (--base checks one)", uses)
	default:
		return glibcNeed(least, uses+", and the image brings no C library"), ""
	}
}

// glibcOf says whether a base image has a C library that is new enough.
func (i *Contents) glibcOf(least string) string {
	if !i.Names["libc.so.6"] {
		return ", and the base image has no GNU C library, so it does not run there"
	}
	for _, p := range i.Programs {
		if p.Soname != "libc.so.6" || p.HasGlibC == "" {
			continue
		}
		if newer(p.HasGlibC, least) != p.HasGlibC {
			return fmt.Sprintf(", and the base image has only %s (%s), so it does not run there", p.HasGlibC, p.Path)
		}
		return fmt.Sprintf(", and the base image has %s (%s)", p.HasGlibC, p.Path)
	}
	return ", and the base image has a C library of an unknown version"
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
// library itself its file name tells the series, too. It is asked of the node only
// where the author says that the node's is used.
func (i *Contents) mpiNeed(ofNode bool) (Need, string) {
	by, library := i.needing("libmpi.so", "libmpich.so", "libmpi_cray.so")
	if by == "" {
		if ofNode {
			return Need{}, "mpi: no program is linked to an MPI, so none is required of the node"
		}
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
	need := Need{mpiAttributes(implementation, ""), by + " is linked to " + library}
	series := i.openMPISeries()
	if implementation == "openmpi" && series != "" {
		need = Need{mpiAttributes(implementation, series), need.Because + ", of Open MPI " + series}
	}
	switch {
	case ofNode:
		return need, ""
	case i.Names[library]:
		return Need{}, fmt.Sprintf("mpi: %s, and the image brings it, so none is required of the node; with --mpi=host it is", need.Because)
	default:
		return Need{}, fmt.Sprintf("mpi: %s (%s), which is not here; if the node's is used, create with --mpi=host", need.Because, implementation)
	}
}

// openMPISeries is the series of the Open MPI in the image: it raises the library's
// own number with each.
func (i *Contents) openMPISeries() string {
	all := map[string]string{"10": "3.1", "20": "4.0", "30": "4.1", "40": "5.0"}
	for _, name := range slices.Sorted(maps.Keys(i.Names)) {
		rest, ok := strings.CutPrefix(name, "libmpi.so.40.")
		number, _, _ := strings.Cut(rest, ".")
		if series := all[number]; ok && series != "" {
			return series
		}
	}
	return ""
}
