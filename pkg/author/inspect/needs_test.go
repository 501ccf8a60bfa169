package inspect_test

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/author/inspect"
	"github.com/imagefit/imagefit/pkg/author/lint"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

func attributesOf(needs []inspect.Need) string {
	var all []string
	for _, n := range needs {
		for _, a := range n.Attributes {
			all = append(all, a.Group+"/"+a.Key+"="+a.Value)
		}
		if n.Because == "" {
			all = append(all, "without a reason")
		}
	}
	return strings.Join(all, " ")
}

func TestNeedsOfProgramsHaveReasons(t *testing.T) {
	t.Parallel()
	glibc := func(v string) map[string][]string { return map[string][]string{"libc.so.6": {"GLIBC_" + v}} }
	linked := func(libraries ...string) member {
		return member{"bin/a", elfFile(program{interpreter: "/ld", needed: libraries})}
	}
	const nvidia = "org.supercontainers/hardware.gpu.vendor=nvidia"
	cuda := func(release string) string {
		return nvidia + " org.supercontainers/hardware.gpu.cuda.version=" + release
	}
	host := inspect.Options{HostMPI: true}
	tests := []struct {
		name    string
		members []member
		options inspect.Options
		want    string
		note    string
	}{
		{"no programs", []member{{"etc/motd", []byte("x")}}, none, "", "no program"},
		{"plain", []member{{"bin/a", elfFile(program{})}}, none, "", ""},
		{"code that is not looked at", []member{{"bin/a", elfFile(program{order: binary.LittleEndian, wide: true, machine: elf.EM_RISCV, kind: elf.ET_DYN})}}, none, "", "the code of bin/a is for riscv64"},
		{"level", []member{{"bin/a", elfFile(program{level: 2})}, {"bin/b", elfFile(program{level: 3})}}, none, "io.archspec/target=x86_64_v3", ""},
		{"level that the loader chooses", []member{{"bin/a", elfFile(program{level: 1})}, {"lib/glibc-hwcaps/x86-64-v3/b", elfFile(program{level: 3})}}, none, "", ""},
		{"glibc outside", []member{{"bin/a", elfFile(program{versions: glibc("2.9")})}, {"bin/b", elfFile(program{versions: glibc("2.34")})}}, none, "oci/oci.os.glibc=[2.34,)", ""},
		{"glibc inside", []member{{"bin/a", elfFile(program{versions: glibc("2.34")})}, {"lib/libc.so.6", nil}}, none, "", "brings its own C library"},
		{"Open MPI outside", []member{linked("libmpi.so.40")}, none, "", "which is not here; if the node's is used, create with --mpi=host"},
		{"Open MPI of the host", []member{linked("libmpi.so.40")}, host, "org.supercontainers/mpi.implementation=openmpi", ""},
		{"Open MPI inside", []member{linked("libmpi.so.40"), {"lib/libmpi.so.40", nil}, {"lib/libmpi.so.40.30.4", nil}}, none, "", "of Open MPI 4.1, and the image brings it"},
		{"Open MPI inside and of the host", []member{linked("libmpi.so.40"), {"lib/libmpi.so.40.30.4", nil}}, host, "org.supercontainers/mpi.implementation=openmpi org.supercontainers/mpi.version=4.1", ""},
		{"MPICH of the host", []member{linked("libmpi.so.12")}, host, "org.supercontainers/mpi.implementation=mpich", ""},
		{"an unknown MPI", []member{linked("libmpi.so.99")}, none, "", "does not tell the MPI"},
		{"no MPI of the host", []member{linked()}, host, "", "no program is linked to an MPI"},
		{"CUDA 12", []member{linked("libcudart.so.12")}, none, cuda("12.0"), ""},
		{"CUDA 11.0", []member{linked("libcudart.so.11.0")}, none, cuda("11.0"), ""},
		{"CUDA by another library", []member{linked("libcufft.so.11")}, none, cuda("12.0"), ""},
		{"CUDA in one order", []member{linked("libcublas.so.12", "libcudart.so.12")}, none, cuda("12.0"), ""},
		{"CUDA in the other", []member{linked("libcudart.so.12", "libcublas.so.12")}, none, cuda("12.0"), ""},
		{"CUDA without a release", []member{linked("libcurand.so.10")}, none, nvidia, ""},
		{"the newest of several", []member{linked("libcublas.so.11", "libnvJitLink.so.13", "libcusparse.so.12")}, none, cuda("13.0"), ""},
		{"the driver of NVIDIA", []member{linked("libcuda.so.1")}, none, nvidia, ""},
		{"a library of no one", []member{linked("libcudartx.so.12")}, none, "", ""},
		{"CUDA through a library", []member{linked("libx.so.1"), {"lib/libx.so.1", elfFile(program{soname: "libx.so.1", needed: []string{"libcudart.so.12"}})}}, none, cuda("12.0"), ""},
		{"CUDA in a plug-in", []member{linked(), {"lib/libggml-cuda.so", elfFile(program{soname: "libggml-cuda.so", needed: []string{"libcudart.so.13"}})}}, none, "", "no program is linked to it"},
		{"CUDA in both", []member{linked("libcudart.so.12"), {"lib/libggml-cuda.so", elfFile(program{soname: "libggml-cuda.so", needed: []string{"libcudart.so.13"}})}}, none, cuda("12.0"), ""},
		{"ROCm", []member{linked("libamdhip64.so.6")}, none, "org.supercontainers/hardware.gpu.vendor=amd", ""},
		{"Level Zero", []member{linked("libze_loader.so.1")}, none, "org.supercontainers/hardware.gpu.vendor=intel", ""},
		{"CUDA and ROCm", []member{linked("libamdhip64.so.6"), {"bin/b", elfFile(program{interpreter: "/ld", needed: []string{"libcudart.so.12"}})}}, none, "", "GPUs of several vendors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			needs, notes := inspected(t, writeFile(t, t.TempDir()+"/a.tar", tarOf(t, tt.members...)), "").Needs(tt.options)
			if got := attributesOf(needs); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
			if tt.note != "" && !strings.Contains(strings.Join(notes, "\n"), tt.note) || tt.note == "" && len(notes) > 0 {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			wantGoodDocuments(t, needs, nil)
		})
	}
}

// none are no options.
var none inspect.Options

// TestNeedsOfAPartAreAskedOfItsBase: a program or the folder of a build is put into an
// image, which has the C library.
func TestNeedsOfAPartAreAskedOfItsBase(t *testing.T) {
	t.Parallel()
	app := elfFile(program{interpreter: "/ld", versions: map[string][]string{"libc.so.6": {"GLIBC_2.34"}}})
	dir := t.TempDir()
	file := writeFile(t, dir+"/build/app", app)
	base := func(version string) *inspect.Contents {
		library := elfFile(program{soname: "libc.so.6", defined: []string{"libc.so.6", "GLIBC_2.2.5", version, "GLIBC_PRIVATE"}})
		return inspected(t, writeFile(t, t.TempDir()+"/base.tar", tarOf(t, member{"lib/libc.so.6", library})), "")
	}
	for name, tt := range map[string]struct {
		from string
		base *inspect.Contents
		note string
	}{
		"a program":      {file, nil, "the image that it is put into needs a C library that is not older"},
		"a folder":       {dir + "/build", nil, "the image that it is put into"},
		"a base":         {file, base("GLIBC_2.36"), "and the base image has 2.36 (lib/libc.so.6)"},
		"an old base":    {file, base("GLIBC_2.31"), "the base image has only 2.31"},
		"a base of musl": {file, inspected(t, writeFile(t, dir+"/musl.tar", tarOf(t, member{"lib/ld-musl.so", app})), ""), "the base image has no GNU C library"},
	} {
		needs, notes := inspected(t, tt.from, "").Needs(inspect.Options{Base: tt.base})
		if len(needs) > 0 || !strings.Contains(strings.Join(notes, "\n"), tt.note) {
			t.Errorf("%s: %v %q", name, needs, notes)
		}
	}
}

// TestNeedsOfCodeAreFlags: what the code uses is asked for by flag, unless it is for
// certain CPUs by its name.
func TestNeedsOfCodeAreFlags(t *testing.T) {
	t.Parallel()
	const avx2, lzcnt, cpuid = "\xc5\xf5\xfe\xc2", "\xf3\x0f\xbd\xc1", "\x0f\xa2"
	code := func(text string) []byte { return elfFile(program{interpreter: "/ld", code: text + "\xc3"}) }
	library := func(text string) []byte { return elfFile(program{soname: "x", code: text + "\xc3"}) }
	for name, tt := range map[string]struct {
		members []member
		want    string
		note    string
	}{
		"flags":               {[]member{{"bin/a", code(avx2)}, {"bin/b", code(lzcnt)}}, "nfd/cpu-cpuid.AVX=true nfd/cpu-cpuid.AVX2=true nfd/cpu-cpuid.LZCNT=true", ""},
		"within the level":    {[]member{{"bin/a", elfFile(program{interpreter: "/ld", code: avx2 + "\xc3", level: 3})}}, "io.archspec/target=x86_64_v3", ""},
		"behind a check":      {[]member{{"bin/a", code(cpuid + avx2)}}, "", "only after a look at the CPU"},
		"a variant":           {[]member{{"lib/libggml-cpu-haswell.so", library(avx2)}}, "", "for certain CPUs by its name"},
		"a program by a name": {[]member{{"bin/app-haswell", code(avx2)}}, "nfd/cpu-cpuid.AVX=true nfd/cpu-cpuid.AVX2=true", ""},
		"opened at run time":  {[]member{{"bin/java", code("")}, {"lib/libjsvml.so", library(avx2)}}, "", "lib/libjsvml.so uses AVX, AVX2, but no program is linked to it"},
		"linked to":           {[]member{{"bin/app", elfFile(program{interpreter: "/ld", needed: []string{"libx.so.1"}})}, {"lib/libx.so.1", library(avx2)}}, "nfd/cpu-cpuid.AVX=true nfd/cpu-cpuid.AVX2=true", ""},
		"a module of Python":  {[]member{{"bin/python3", code("")}, {"lib/x.cpython-311-x86_64-linux-gnu.so", library(avx2)}}, "nfd/cpu-cpuid.AVX=true nfd/cpu-cpuid.AVX2=true", ""},
		"hwcaps":              {[]member{{"lib/glibc-hwcaps/x86-64-v3/libx.so", library(avx2)}}, "", "for certain CPUs by its name"},
	} {
		needs, notes := inspected(t, writeFile(t, t.TempDir()+"/a.tar", tarOf(t, tt.members...)), "").Needs(none)
		if got := attributesOf(needs); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if all := strings.Join(notes, "\n"); tt.note == "" && all != "" || !strings.Contains(all, tt.note) {
			t.Errorf("%s: notes %q", name, notes)
		}
		if tt.want != "" && strings.Contains(tt.want, "AVX2=") && !strings.Contains(needs[0].Because, "x86-64-v3") {
			t.Errorf("%s: %s", name, needs[0].Because)
		}
		wantGoodDocuments(t, needs, nil)
	}
}

// wantGoodDocuments writes needs in every dialect: each passes lint, is read by
// its dialect, and fits the node that the needs come from.
func wantGoodDocuments(t *testing.T, needs []inspect.Need, facts *facts.Facts) {
	t.Helper()
	if len(needs) == 0 {
		return
	}
	linter, in := lint.New(testkit.Specs(t)), spec.NewInterpreter(testkit.Specs(t))
	for _, to := range convert.Targets() {
		w, err := convert.Attributes(testkit.Specs(t), inspect.AttributesOf(needs), to)
		if err != nil || len(w.Lost) > 0 {
			t.Fatalf("%s: %v, lost %q", to, err, w.Lost)
		}
		for _, f := range linter.Lint(to, w.Body, "") {
			t.Errorf("%s\n%s", f, w.Body)
		}
		reqs, err := compattest.Dialect(t, to).Parse(in, w.Body)
		if err != nil || len(reqs) == 0 {
			t.Fatalf("%s: %d requirements, %v\n%s", to, len(reqs), err, w.Body)
		}
		if facts == nil {
			continue
		}
		if v := selector.Evaluate(facts, reqs); v.Outcome != selector.Fits {
			t.Errorf("%s %s: %s\n%s", to, v.Outcome, v.Reason(), w.Body)
		}
	}
}

func TestNeedsFromFactsFitTheNode(t *testing.T) {
	t.Parallel()
	needs, notes := inspect.FromFacts(compattest.GPU(), inspect.Families())
	const want = "io.archspec/target=x86_64_v3 nfd/kernel-version.major=5 nfd/kernel-version.minor=14 oci/oci.os.glibc=[2.34,) " +
		"org.supercontainers/mpi.implementation=openmpi org.supercontainers/mpi.version=4.1 " +
		"org.supercontainers/hardware.gpu.vendor=nvidia org.supercontainers/hardware.gpu.cuda.version=12.0"
	if got := attributesOf(needs); got != want || len(notes) > 0 {
		t.Errorf("%s %q\nwant %s", got, notes, want)
	}
	wantGoodDocuments(t, needs, compattest.GPU())
	needs, notes = inspect.FromFacts(facts.New("linux", "", facts.Features{}), inspect.Families())
	if len(needs) != 0 || len(notes) != len(inspect.Families()) {
		t.Errorf("of an unknown node: %v %q", needs, notes)
	}
}

func TestCPUNeedNamesTheLevelAndNotTheModel(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"xeon-server": "x86_64_v4", "arm64-graviton4": "armv9.0a", "riscv64-visionfive2": "riscv64",
	} {
		needs, _ := inspect.FromFacts(compattest.Captured(t, host), []string{"cpu"})
		if got := attributesOf(needs); got != "io.archspec/target="+want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// TestNeedsFromCapturedHostsFitThem: each node fits what is made from it, and nothing of it
// tells it from its twin.
func TestNeedsFromCapturedHostsFitThem(t *testing.T) {
	t.Parallel()
	for _, name := range compattest.CapturedNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := compattest.Captured(t, name)
			needs, notes := inspect.FromFacts(facts, inspect.Families())
			if len(needs) == 0 {
				t.Errorf("nothing: %q", notes)
			}
			wantGoodDocuments(t, needs, facts)
			if full := facts.Lookup("kernel.version", "full").Value; full != "" && strings.Contains(attributesOf(needs), full) {
				t.Errorf("the release of the kernel is there: %s", attributesOf(needs))
			}
			for _, n := range needs {
				t.Log(fmt.Sprint(n.Attributes), n.Because)
			}
		})
	}
}
