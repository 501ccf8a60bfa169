package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// maxLibraryDirs bounds how many directories are listed in search of libraries.
const maxLibraryDirs = 512

// libraryDirs are the usual places of MPI and libfabric: where distributions,
// vendors and OpenHPC install them, and /usr/local and /opt. A star matches any
// one name.
func libraryDirs() []string {
	return []string{
		"usr/lib", "usr/lib64", "usr/lib/*-linux-gnu*", "usr/local/lib", "usr/local/lib64",
		"usr/lib64/openmpi*/lib", "usr/lib64/mpich*/lib", "usr/lib64/mvapich*/lib", // Fedora, RHEL
		"usr/lib64/mpi/gcc/*/lib64",                // SUSE
		"usr/mpi/gcc/*/lib", "usr/mpi/gcc/*/lib64", // NVIDIA's network drivers
		"usr/local/openmpi*/lib", "usr/local/mpich*/lib", "usr/local/mvapich*/lib",
		"opt/openmpi*/lib", "opt/openmpi*/lib64", "opt/openmpi*/*/lib", "opt/openmpi*/*/lib64",
		"opt/mpich*/lib", "opt/mpich*/lib64", "opt/mpich*/*/lib", "opt/mpich*/*/lib64",
		"opt/mvapich*/lib", "opt/mvapich*/lib64", "opt/mvapich*/*/lib", "opt/mvapich*/*/lib64",
		"opt/libfabric*/lib", "opt/libfabric*/lib64", "opt/cray/libfabric/*/lib64",
		"opt/amazon/openmpi*/lib", "opt/amazon/openmpi*/lib64", "opt/amazon/efa/lib", "opt/amazon/efa/lib64",
		"opt/hpcx*/ompi/lib",
		"opt/intel/oneapi/mpi/*/lib", "opt/intel/oneapi/mpi/*/lib/release",
		"opt/intel/impi/*/intel64/lib/release", "opt/intel/compilers_and_libraries_*/linux/mpi/intel64/lib/release",
		"opt/cray/pe/mpich/*/ofi/*/*/lib", "opt/cray/pe/mpich/*/ucx/*/*/lib",
		"opt/ohpc/pub/mpi/*/lib", "opt/ohpc/pub/mpi/*/*/lib",
	}
}

// libraryDir is one directory and the libraries in it that are looked for.
type libraryDir struct {
	path  string
	names []string
}

// findLibraries lists the usual places, each at most once.
func findLibraries(root Root) ([]libraryDir, error) {
	w := walker{root: root, listed: map[string][]string{}}
	var dirs []libraryDir
	for _, pattern := range libraryDirs() {
		for _, dir := range w.expand(pattern) {
			names := slices.DeleteFunc(slices.Clone(w.list(dir)), func(name string) bool {
				return !strings.HasPrefix(name, "libmpi") && !strings.HasPrefix(name, "libfabric.so")
			})
			if len(names) > 0 {
				dirs = append(dirs, libraryDir{path: dir, names: names})
			}
		}
	}
	return dirs, w.err
}

// walker lists a bounded number of directories. A missing one is empty; err is
// that of the first that could not be read.
type walker struct {
	root   Root
	listed map[string][]string
	err    error
}

func (w *walker) list(dir string) []string {
	if names, ok := w.listed[dir]; ok || w.err != nil {
		return names
	}
	if len(w.listed) >= maxLibraryDirs {
		w.err = fmt.Errorf("more than %d directories may hold libraries", maxLibraryDirs)
		return nil
	}
	names, err := w.root.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		w.err = err
	}
	w.listed[dir] = names
	return names
}

// expand returns the directories that match a pattern. The last ones may not
// exist; links to another match, such as "latest", are left out.
func (w *walker) expand(pattern string) []string {
	dirs := []string{""}
	for part := range strings.SplitSeq(pattern, "/") {
		if !strings.Contains(part, "*") {
			for i := range dirs {
				dirs[i] = path.Join(dirs[i], part)
			}
			continue
		}
		var next []string
		for _, dir := range dirs {
			for _, name := range w.list(dir) {
				ok, err := path.Match(part, name)
				if err == nil && ok && name != "latest" && name != "default" {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		dirs = next
	}
	return dirs
}

// packageVersion returns the version that a pkg-config file names, if there is
// one.
func packageVersion(root Root, dir string, names ...string) (string, error) {
	for _, name := range names {
		data, err := root.ReadHead(dir+"/pkgconfig/"+name, maxDriverText)
		if err != nil && !isNoAttribute(err) {
			return "", err
		}
		if version := lineAfter(data, "Version:"); version != "" {
			return version, nil
		}
	}
	return "", nil
}

// soVersion returns what follows ".so." in the longest name of a library, as
// 40.30.4 for libmpi.so.40.30.4.
func soVersion(names []string, library string) string {
	longest := ""
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, library+".so.")
		if ok && strings.Trim(rest, "0123456789.") == "" && len(rest) > len(longest) {
			longest = rest
		}
	}
	return longest
}

// libraryPrefix returns the installation prefix of a library directory: /opt/mpich
// for opt/mpich/lib.
func libraryPrefix(dir string) string {
	dir = strings.TrimSuffix(dir, "/release")
	if base := path.Base(dir); base == "lib" || base == "lib64" || strings.Contains(base, "-linux-gnu") {
		dir = path.Dir(dir)
	}
	if dir == "usr/lib" { // of usr/lib/x86_64-linux-gnu
		dir = "usr"
	}
	return "/" + dir
}
