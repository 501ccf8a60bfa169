package inspect_test

import (
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
	tests := []struct {
		name    string
		members []member
		want    string
		note    string
	}{
		{"no programs", []member{{"etc/motd", []byte("x")}}, "", "no program"},
		{"plain", []member{{"bin/a", elfFile(program{})}}, "io.archspec/target=x86_64", "raise the target"},
		{"level", []member{{"bin/a", elfFile(program{level: 2})}, {"bin/b", elfFile(program{level: 3})}}, "io.archspec/target=x86_64_v3", ""},
		{"level that the loader chooses", []member{{"bin/a", elfFile(program{level: 1})}, {"lib/glibc-hwcaps/x86-64-v3/b", elfFile(program{level: 3})}}, "io.archspec/target=x86_64", ""},
		{"glibc outside", []member{{"bin/a", elfFile(program{level: 1, versions: glibc("2.9")})}, {"bin/b", elfFile(program{versions: glibc("2.34")})}}, "io.archspec/target=x86_64 oci/oci.os.glibc=[2.34,)", ""},
		{"glibc inside", []member{{"bin/a", elfFile(program{level: 1, versions: glibc("2.34")})}, {"lib/libc.so.6", nil}}, "io.archspec/target=x86_64", "brings its own C library"},
		{"Open MPI outside", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libmpi.so.40"}})}}, "io.archspec/target=x86_64 org.supercontainers/mpi.implementation=openmpi", ""},
		{"Open MPI inside", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libmpi.so.40"}})}, {"lib/libmpi.so.40.30.4", nil}}, "io.archspec/target=x86_64 org.supercontainers/mpi.implementation=openmpi org.supercontainers/mpi.version=4.1", ""},
		{"MPICH", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libmpi.so.12"}})}}, "io.archspec/target=x86_64 org.supercontainers/mpi.implementation=mpich", ""},
		{"MPI of nobody", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libmpi.so.99"}})}}, "io.archspec/target=x86_64", "does not tell the MPI"},
		{"CUDA 12", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libcudart.so.12"}})}}, "io.archspec/target=x86_64 org.supercontainers/hardware.gpu.vendor=nvidia org.supercontainers/hardware.gpu.cuda.version=12.0", ""},
		{"CUDA 11.0", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libcudart.so.11.0"}})}}, "io.archspec/target=x86_64 org.supercontainers/hardware.gpu.vendor=nvidia org.supercontainers/hardware.gpu.cuda.version=11.0", ""},
		{"the driver of NVIDIA", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libcuda.so.1"}})}}, "io.archspec/target=x86_64 org.supercontainers/hardware.gpu.vendor=nvidia", ""},
		{"ROCm", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libamdhip64.so.6"}})}}, "io.archspec/target=x86_64 org.supercontainers/hardware.gpu.vendor=amd", ""},
		{"CUDA and ROCm", []member{{"bin/a", elfFile(program{level: 1, needed: []string{"libamdhip64.so.6"}})}, {"bin/b", elfFile(program{needed: []string{"libcudart.so.12"}})}}, "io.archspec/target=x86_64", "GPUs of several vendors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			needs, notes := inspected(t, writeFile(t, t.TempDir()+"/a.tar", tarOf(t, tt.members...)), "").Needs()
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
