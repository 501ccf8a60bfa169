package hostfacts

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// maxHeader is more than any mpi.h has.
const maxHeader = 1 << 20

// identifyMPI returns the implementation and version of a library: by the vendor's
// directory, else by the header or the pkg-config file, else by the name of the
// library.
func identifyMPI(root Root, dir libraryDir, library, so string) (implementation, version string, err error) {
	padded := "/" + dir.path + "/"
	for vendor, above := range map[string]string{
		"cray-mpich": "/cray/pe/mpich/", "intel-mpi": "/intel/oneapi/mpi/",
	} {
		if _, rest, ok := strings.Cut(padded, above); ok {
			version, _, _ = strings.Cut(rest, "/")
			return vendor, version, nil
		}
	}
	if implementation, version, err = headerOfMPI(root, dir, library); err != nil {
		return "", "", err
	}
	if implementation == "" {
		implementation = guessMPI(dir, library, so)
	}
	packaged := map[string][]string{
		"openmpi": {"ompi.pc", "ompi-c.pc"}, "mpich": {"mpich.pc"}, "mvapich2": {"mvapich2.pc"},
		"mvapich": {"mvapich.pc"}, "intel-mpi": {"impi.pc"},
	}
	packageNames, err := packageVersion(root, dir.path, packaged[implementation]...)
	if err != nil {
		return "", "", err
	}
	version = cmp.Or(version, packageNames)
	if implementation != "" && !strings.HasPrefix(libraryPrefix(dir.path), "/usr/lib") {
		version = cmp.Or(version, versionOfPath(dir.path))
	}
	if implementation == "openmpi" {
		version = cmp.Or(version, openMPISeries(so))
	}
	return implementation, version, nil
}

// guessMPI goes by names. libmpi.so.12 was Open MPI 1.10 once and is MPICH today,
// so it needs other evidence.
func guessMPI(dir libraryDir, library, so string) string {
	has := func(prefix string) bool {
		return slices.ContainsFunc(dir.names, func(name string) bool { return strings.HasPrefix(name, prefix+".so") })
	}
	major, _, _ := strings.Cut(so, ".")
	switch {
	case strings.Contains(dir.path, "/impi/") || strings.Contains(dir.path, "/linux/mpi/intel64/") || has("libmpi_ilp64"):
		return "intel-mpi"
	case strings.Contains(dir.path, "/mvapich2"):
		return "mvapich2"
	case strings.Contains(dir.path, "/mvapich"):
		return "mvapich"
	case library == "libmpich" || strings.Contains(dir.path, "/mpich") || has("libmpich"):
		return "mpich"
	case library == "libmpi" && (major == "20" || major == "40"):
		return "openmpi"
	}
	return ""
}

// openMPISeries returns the release series of a library version: 40.30.4 is one of
// 4.1.
func openMPISeries(so string) string {
	parts := strings.Split(so, ".")
	if len(parts) < 2 || parts[0] != "40" {
		return ""
	}
	return map[string]string{"0": "3.0", "00": "3.0", "10": "3.1", "20": "4.0", "30": "4.1", "40": "5.0"}[parts[1]]
}

// headerOfMPI reads the mpi.h that belongs to a library, if it is installed.
func headerOfMPI(root Root, dir libraryDir, library string) (implementation, version string, err error) {
	prefix := strings.TrimPrefix(libraryPrefix(dir.path), "/")
	places := []string{prefix + "/include/mpi.h"}
	switch {
	case strings.Contains(path.Base(dir.path), "-linux-gnu") && library == "libmpich": // Debian
		places = []string{"usr/include/" + path.Base(dir.path) + "/mpich/mpi.h"}
	case strings.Contains(path.Base(dir.path), "-linux-gnu"):
		places = []string{dir.path + "/openmpi/include/mpi.h"}
	case strings.HasPrefix(prefix, "usr/lib64/"): // Fedora, RHEL
		for _, arch := range []string{"x86_64", "aarch64", "ppc64le", "s390x"} {
			places = append(places, "usr/include/"+path.Base(prefix)+"-"+arch+"/mpi.h")
		}
	}
	for _, place := range places {
		data, err := root.ReadHead(place, maxHeader)
		if isNoAttribute(err) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		if implementation, version = parseMPIHeader(data); implementation != "" {
			return implementation, version, nil
		}
	}
	return "", "", nil
}

// parseMPIHeader reads the macros by which the implementations name themselves.
// Descendants of MPICH name MPICH too, so the more specific one is used.
func parseMPIHeader(data []byte) (implementation, version string) {
	macros := map[string]string{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) >= 3 && fields[0] == "#define" {
			macros[fields[1]] = strings.Trim(fields[2], `"`)
		}
	}
	for _, named := range []struct{ macro, implementation string }{
		{"I_MPI_VERSION", "intel-mpi"}, {"MVAPICH2_VERSION", "mvapich2"}, {"MVAPICH_VERSION", "mvapich"},
		{"MPICH_VERSION", "mpich"},
	} {
		if version := macros[named.macro]; version != "" {
			return named.implementation, version
		}
	}
	major, minor, release := macros["OMPI_MAJOR_VERSION"], macros["OMPI_MINOR_VERSION"], macros["OMPI_RELEASE_VERSION"]
	if major != "" && minor != "" && release != "" {
		return "openmpi", major + "." + minor + "." + release
	}
	return "", ""
}
