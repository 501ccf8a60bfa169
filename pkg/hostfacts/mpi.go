package hostfacts

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectMPI finds the MPI libraries in the usual places. Those elsewhere, such as
// on a shared file system, the operator has to declare.
func collectMPI(h host, out *facts.Features) error {
	dirs, err := findLibraries(h.root)
	if err == nil && len(dirs) == 0 {
		err = h.root.stat("usr") // without it, there is nowhere to look
	}
	if err != nil {
		return err
	}
	installations := []map[string]string{}
	for _, dir := range dirs {
		found, err := mpiIn(h.root, dir)
		if err != nil {
			return err
		}
		installations = appendNew(installations, found...)
	}
	out.Instances["mpi.installation"] = installations
	out.Attributes["mpi.host"] = map[string]string{}
	setMPIHost(installations, out)
	out.Instances["libfabric.installation"], err = fabricLibraries(h.root, dirs)
	return err
}

// setMPIHost sets what all installations have in common. Where they differ, only
// the operator knows which of them is used.
func setMPIHost(found []map[string]string, out *facts.Features) {
	if len(found) == 0 {
		return
	}
	for _, element := range []string{"implementation", "version", "abi"} {
		value := found[0][element]
		same := !slices.ContainsFunc(found, func(m map[string]string) bool { return m[element] != value })
		switch {
		case same && value != "":
			out.Attributes["mpi.host"][element] = value
		case same:
			out.Unknown["mpi.host/"+element] = "the library in " + found[0]["prefix"] + " does not report it"
		default:
			out.Unknown["mpi.host/"+element] = fmt.Sprintf("there are %d MPI installations, from %s to %s",
				len(found), found[0]["prefix"], found[len(found)-1]["prefix"])
		}
	}
}

// appendNew drops what was found before, as where lib64 is a link to lib.
func appendNew(found []map[string]string, more ...map[string]string) []map[string]string {
	for _, m := range more {
		if !slices.ContainsFunc(found, func(other map[string]string) bool { return maps.Equal(other, m) }) {
			found = append(found, m)
		}
	}
	return found
}

// mpiIn returns the installations whose libraries are in a directory: one of
// Open MPI, one of MPICH or what descends from it.
func mpiIn(root Root, dir libraryDir) ([]map[string]string, error) {
	var found []map[string]string
	for _, library := range []string{"libmpi", "libmpich", crayLibrary(dir.names)} {
		so := soVersion(dir.names, library)
		if library == "" || so == "" {
			continue
		}
		major, _, _ := strings.Cut(so, ".")
		isMPICH := slices.ContainsFunc(found, func(m map[string]string) bool { return m["abi"] == mpichABI })
		if library == "libmpich" && isMPICH { // another name of the same
			continue
		}
		implementation, version, err := identifyMPI(root, dir, library, so)
		if err != nil {
			return nil, err
		}
		found = append(found, known(map[string]string{
			"prefix": libraryPrefix(dir.path), "library": library + ".so." + major,
			"implementation": implementation, "version": version, "abi": mpiABI(implementation, major),
		}))
	}
	return found, nil
}

// crayLibrary returns the library of Cray's MPICH, which carries the name of a
// compiler, as in libmpi_gnu_123.
func crayLibrary(names []string) string {
	for _, name := range names {
		library, _, ok := strings.Cut(name, ".so.")
		for _, compiler := range []string{"cray", "gnu", "intel", "aocc", "nvidia", "amd"} {
			if ok && (library == "libmpi_"+compiler || strings.HasPrefix(library, "libmpi_"+compiler+"_")) {
				return library
			}
		}
	}
	return ""
}

const mpichABI = "mpich-12"

// mpiABI names the binary interface. MPICH, and what descends from it, agreed
// on that of libmpi.so.12; Open MPI numbers its own.
func mpiABI(implementation, major string) string {
	switch {
	case implementation == "openmpi":
		return "openmpi-" + major
	case implementation != "" && major == "12":
		return mpichABI
	}
	return ""
}

// fabricLibraries lists the libfabric installations. The version in the file name
// is not that of the release.
func fabricLibraries(root Root, dirs []libraryDir) ([]map[string]string, error) {
	found := []map[string]string{}
	for _, dir := range dirs {
		so := soVersion(dir.names, "libfabric")
		if so == "" {
			continue
		}
		version, err := packageVersion(root, dir.path, "libfabric.pc")
		if err != nil {
			return nil, err
		}
		found = appendNew(found, known(map[string]string{
			"prefix": libraryPrefix(dir.path), "file_version": so, "version": cmp.Or(version, versionOfPath(dir.path)),
		}))
	}
	return found, nil
}

// versionOfPath returns a version that a directory above a library is named
// after: 4.1.5 of opt/openmpi-4.1.5/lib and of opt/openmpi/4.1.5/lib.
func versionOfPath(dir string) string {
	for ; dir != "." && dir != "/"; dir = path.Dir(dir) {
		name := path.Base(dir)
		if at := strings.LastIndex(name, "-"); at >= 0 {
			name = name[at+1:]
		}
		if digits := leadingDigits(name); digits != "" && strings.HasPrefix(name[len(digits):], ".") {
			return name
		}
	}
	return ""
}
