package hostfacts

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

const debianBanner = "GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\nCopyright (C) 2022\n"

// elfFile is an ELF file with text in its .rodata and zeros before it.
func elfFile(t testing.TB, text string) string {
	t.Helper()
	const headerSize, sectionSize = 64, 64
	names := "\x00.rodata\x00.shstrtab\x00"
	data := strings.Repeat("\x00", headerSize) + text + names
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Off: headerSize, Size: uint64(len(text))},
		{Name: 9, Type: uint32(elf.SHT_STRTAB), Off: uint64(headerSize + len(text)), Size: uint64(len(names))},
	}
	header := elf.Header64{
		Ident:   [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Version: uint32(elf.EV_CURRENT), Shoff: uint64(len(data)), Ehsize: headerSize,
		Shentsize: sectionSize, Shnum: uint16(len(sections)), Shstrndx: 2,
	}
	var head, tail bytes.Buffer
	if err := binary.Write(&head, binary.LittleEndian, header); err != nil {
		t.Fatal(err)
	}
	if err := binary.Write(&tail, binary.LittleEndian, sections); err != nil {
		t.Fatal(err)
	}
	return head.String() + data[headerSize:] + tail.String()
}

func TestLibCIsToldByItsBanner(t *testing.T) {
	t.Parallel()
	const x86 = "processor : 0\nvendor_id : GenuineIntel\nflags : fpu lm sse\n"
	const apk = "C:Q1x\nP:musl\nV:1.2.5-r9\nA:x86_64\n\nP:musl-utils\nV:1.2.4-r0\n"
	tests := []lookupCase{
		{name: "Debian", files: map[string]string{"usr/lib/x86_64-linux-gnu/libc.so.6": elfFile(t, debianBanner)}, element: "version", want: facts.Present, value: "2.36"},
		{name: "its implementation", files: map[string]string{"usr/lib/x86_64-linux-gnu/libc.so.6": elfFile(t, debianBanner)}, element: "implementation", want: facts.Present, value: "glibc"},
		{name: "Red Hat, through links", files: map[string]string{"lib64": "-> usr/lib64", "usr/lib64/libc.so.6": "-> libc-2.28.so", "usr/lib64/libc-2.28.so": elfFile(t, "GNU C Library (GNU libc) stable release version 2.28.\n")}, element: "version", want: facts.Present, value: "2.28"},
		{name: "before usr was merged", files: map[string]string{"lib/x86_64-linux-gnu/libc.so.6": elfFile(t, "GNU C Library (Ubuntu EGLIBC 2.19-0ubuntu6.15) stable release version 2.19, by Roland McGrath et al.\n")}, element: "version", want: facts.Present, value: "2.19"},
		{name: "a development version", files: map[string]string{"usr/lib64/libc.so.6": elfFile(t, "GNU C Library (GNU libc) development release version 2.37.9000.\n")}, element: "version", want: facts.Present, value: "2.37.9000"},
		{name: "across two pieces", files: map[string]string{"usr/lib64/libc.so.6": elfFile(t, strings.Repeat("x", 64<<10-20)+debianBanner)}, element: "version", want: facts.Present, value: "2.36"},
		{name: "without sections", files: map[string]string{"usr/lib64/libc.so.6": "\x7fELF" + strings.Repeat("x", 100<<10) + debianBanner}, element: "version", want: facts.Present, value: "2.36"},
		{name: "the architecture's own", files: map[string]string{"proc/cpuinfo": x86, "usr/lib/aarch64-linux-gnu/libc.so.6": elfFile(t, "GNU C Library x release version 2.1."), "usr/lib/x86_64-linux-gnu/libc.so.6": elfFile(t, debianBanner)}, element: "version", want: facts.Present, value: "2.36"},
		{name: "no banner", files: map[string]string{"usr/lib64/libc.so.6": elfFile(t, "hello")}, element: "version", want: facts.Unknown, cause: "no version of the C library found reading"},
		{name: "a banner without a version", files: map[string]string{"usr/lib64/libc.so.6": elfFile(t, "GNU C Library release version soon")}, element: "version", want: facts.Unknown, cause: "has no version"},
		{name: "an empty file", files: map[string]string{"usr/lib64/libc.so.6": ""}, element: "version", want: facts.Unknown, cause: "no version"},
		{name: "a directory", files: map[string]string{"usr/lib64/libc.so.6/x": ""}, element: "version", want: facts.Unknown, cause: "not a regular file"},
		{name: "none in the usual places", files: map[string]string{"nix/store/x": ""}, element: "version", want: facts.Unknown, cause: "no C library in the usual places"},
		{name: "Alpine", files: map[string]string{"lib/ld-musl-x86_64.so.1": "x", "lib/apk/db/installed": apk}, element: "version", want: facts.Present, value: "1.2.5"},
		{name: "musl", files: map[string]string{"lib/ld-musl-x86_64.so.1": "x"}, element: "implementation", want: facts.Present, value: "musl"},
		{name: "musl without a package database", files: map[string]string{"lib/ld-musl-x86_64.so.1": "x"}, element: "version", want: facts.Unknown, cause: "lib/apk/db/installed"},
		{name: "musl that no package brought", files: map[string]string{"lib/ld-musl-x86_64.so.1": "x", "lib/apk/db/installed": "P:busybox\nV:1\n"}, element: "version", want: facts.Unknown, cause: "no package musl"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.set = "system.libc"
			tt.check(t)
		})
	}
}

func mpiCases() []lookupCase {
	const debian = "usr/lib/x86_64-linux-gnu/"
	both := map[string]string{"opt/mpich-4.2.0/lib/libmpi.so.12": "", "opt/openmpi-4.1.5/lib/libmpi.so.40": ""}
	return []lookupCase{
		{name: "none", files: map[string]string{"usr/lib/libz.so.1": ""}, element: "implementation", want: facts.Absent},
		{name: "Debian's Open MPI without its header", files: map[string]string{debian + "libmpi.so.40": "-> libmpi.so.40.30.4", debian + "libmpi.so.40.30.4": ""}, element: "version", want: facts.Present, value: "4.1"},
		{name: "Debian's Open MPI", files: map[string]string{debian + "libmpi.so.40.30.4": "", debian + "openmpi/include/mpi.h": "#define OMPI_MAJOR_VERSION 4\n#define OMPI_MINOR_VERSION 1\n#define OMPI_RELEASE_VERSION 4\n"}, element: "version", want: facts.Present, value: "4.1.4"},
		{name: "by pkg-config", files: map[string]string{debian + "libmpi.so.40.30.4": "", debian + "pkgconfig/ompi.pc": "Name: Open MPI\nVersion: 4.1.4\n"}, element: "version", want: facts.Present, value: "4.1.4"},
		{name: "Debian's MPICH", files: map[string]string{debian + "libmpich.so.12": "", debian + "pkgconfig/mpich.pc": "Version: 4.0.2\n"}, element: "abi", want: facts.Present, value: "mpich-12"},
		{name: "SUSE", files: map[string]string{"usr/lib64/mpi/gcc/openmpi4/lib64/libmpi.so.40.20.7": ""}, element: "version", want: facts.Present, value: "4.0"},
		{name: "of the network drivers", files: map[string]string{"usr/mpi/gcc/openmpi-4.1.7a1/lib64/libmpi.so.40": ""}, element: "version", want: facts.Present, value: "4.1.7a1"},
		{name: "AWS", files: map[string]string{"opt/amazon/openmpi/lib64/libmpi.so.40.30.6": ""}, element: "abi", want: facts.Present, value: "openmpi-40"},
		{name: "OpenHPC", files: map[string]string{"opt/ohpc/pub/mpi/openmpi4-gnu12/4.1.6/lib/libmpi.so.40": ""}, element: "version", want: facts.Present, value: "4.1.6"},
		{name: "Intel", files: map[string]string{"opt/intel/oneapi/mpi/2021.10.0/lib/release/libmpi.so.12": "", "opt/intel/oneapi/mpi/latest": "-> 2021.10.0"}, element: "implementation", want: facts.Present, value: "intel-mpi"},
		{name: "Intel before oneAPI", files: map[string]string{"opt/intel/impi/2019.9.304/intel64/lib/release/libmpi.so.12": ""}, element: "implementation", want: facts.Present, value: "intel-mpi"},
		{name: "MVAPICH names MPICH too", files: map[string]string{"opt/mvapich2-2.3.7/lib/libmpi.so.12": "", "opt/mvapich2-2.3.7/include/mpi.h": "#define MPICH_VERSION \"3.2.1\"\n#define MVAPICH2_VERSION \"2.3.7\"\n"}, element: "version", want: facts.Present, value: "2.3.7"},
		{name: "Cray", files: map[string]string{"opt/cray/pe/mpich/8.1.29/ofi/gnu/12.3/lib/libmpi_gnu_123.so.12.0.0": ""}, element: "version", want: facts.Present, value: "8.1.29"},
		{name: "libmpi.so.12 alone may be either", files: map[string]string{"usr/local/lib/libmpi.so.12": ""}, element: "implementation", want: facts.Unknown, cause: "does not report"},
		{name: "MPICH beside libmpi.so.12", files: map[string]string{"usr/local/lib/libmpi.so.12": "", "usr/local/lib/libmpich.so.12": ""}, element: "implementation", want: facts.Present, value: "mpich"},
		{name: "Open MPI 1.10", files: map[string]string{"usr/local/lib/libmpi.so.12": "", "usr/local/include/mpi.h": "#define OMPI_MAJOR_VERSION 1\n#define OMPI_MINOR_VERSION 10\n#define OMPI_RELEASE_VERSION 7\n"}, element: "abi", want: facts.Present, value: "openmpi-12"},
		{name: "lib64 that is lib", files: map[string]string{"usr/lib/libmpi.so.40": "", "usr/lib64": "-> lib", "usr/lib/pkgconfig/ompi-c.pc": "Version: 5.0.3\n"}, element: "version", want: facts.Present, value: "5.0.3"},
		{name: "two", files: both, element: "implementation", want: facts.Unknown, cause: "2 MPI installations"},
		{name: "a library with a strange name", files: map[string]string{"usr/lib/libmpi.so.x": "", "usr/lib/libmpi.so": ""}, element: "implementation", want: facts.Absent},
	}
}

func TestMPIHostIsWhatInstallationsShare(t *testing.T) {
	t.Parallel()
	for _, tt := range mpiCases() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.set = "mpi.host"
			tt.check(t)
		})
	}
}

func TestMPIOfTwoVersionsSharesTheRest(t *testing.T) {
	t.Parallel()
	files := map[string]string{"opt/openmpi-4.1.5/lib/libmpi.so.40": "", "opt/openmpi-5.0.1/lib/libmpi.so.40": ""}
	for _, tt := range []lookupCase{
		{files: files, set: "mpi.host", element: "abi", want: facts.Present, value: "openmpi-40"},
		{files: files, set: "mpi.host", element: "version", want: facts.Unknown, cause: "from /opt/openmpi-4.1.5 to /opt/openmpi-5.0.1"},
	} {
		tt.check(t)
	}
}

func TestLibrarySearchIsBounded(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range maxLibraryDirs {
		files["opt/openmpi-"+strings.Repeat("a", i%100+1)+strings.Repeat("b", i/100+1)+"/lib/libz.so.1"] = ""
	}
	lookupCase{files: files, set: "mpi.host", element: "abi", want: facts.Unknown, cause: "more than 512 directories"}.check(t)
}

func FuzzLibC(f *testing.F) {
	f.Add([]byte(elfFile(f, debianBanner)))
	f.Add([]byte(debianBanner))
	f.Add([]byte("\x7fELF"))
	if data, err := os.ReadFile("/proc/self/exe"); err == nil {
		f.Add(data[:min(len(data), 4096)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		version, err := findLibCBanner(constantData(bytes.NewReader(data)))
		if (err == nil) != isDottedNumber(version) {
			t.Errorf("version %q, error %v", version, err)
		}
	})
}

func FuzzMPITexts(f *testing.F) {
	f.Add("#define OMPI_MAJOR_VERSION 4\n#define OMPI_MINOR_VERSION 1\n#define OMPI_RELEASE_VERSION 6\n", "libmpi.so.40.30.6", "usr/lib64/openmpi/lib")
	f.Add("#define MPICH_VERSION \"4.1.1\"\n", "libmpi_gnu_123.so.12", "opt/mpich/4.1/lib")
	f.Add("P:musl\nV:1.2.5-r9\n", "libmpich.so.", "opt/mpich-/lib")
	f.Fuzz(func(t *testing.T, text, name, dir string) {
		implementation, version := parseMPIHeader([]byte(text))
		if implementation == "" && version != "" {
			t.Errorf("version %q of nothing", version)
		}
		parseAPKVersion([]byte(text), "musl")
		found, err := mpiIn(tree(t, nil), libraryDir{path: dir, names: []string{name}})
		if err == nil && len(found) > 1 {
			t.Errorf("one library is %d installations", len(found))
		}
	})
}

// TestOnlyConstantsOfALibraryAreRead: of a library only its constants are read, which keeps
// snapshots small.
func TestOnlyConstantsOfALibraryAreRead(t *testing.T) {
	t.Parallel()
	file := elfFile(t, debianBanner)
	text, err := io.ReadAll(constantData(strings.NewReader(file)))
	if err != nil || string(text) != debianBanner {
		t.Errorf("got %d bytes of %d, error %v", len(text), len(file), err)
	}
	if text, err = io.ReadAll(constantData(strings.NewReader("a script"))); err != nil || string(text) != "a script" {
		t.Errorf("got %q, error %v", text, err)
	}
}

func TestMPIIsListedOnce(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		"usr/lib/libmpi.so.40": "", "usr/lib/libmpi.so.40.30.4": "", "usr/lib/libfabric.so.1": "", "usr/lib64": "-> lib",
	})
	facts := Collect(context.Background(), root)
	for _, set := range []string{"mpi.installation", "libfabric.installation"} {
		if list, _ := facts.Instances(set); len(list) != 1 {
			t.Errorf("%s is %v", set, list)
		}
	}
}
