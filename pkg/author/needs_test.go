package author_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/author"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/selector"
)

func said(needs []author.Need) string {
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

func TestNeedsOfPrograms(t *testing.T) {
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
			needs, notes := inspect(t, writeFile(t, t.TempDir()+"/a.tar", tarOf(t, tt.members...)), "").Needs()
			if got := said(needs); got != tt.want {
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
func wantGoodDocuments(t *testing.T, needs []author.Need, facts *facts.Facts) {
	t.Helper()
	if len(needs) == 0 {
		return
	}
	linter, in := author.NewLinter(specs(t)), spec.NewInterpreter(specs(t))
	for _, to := range author.Targets() {
		w, err := author.WriteNeeds(specs(t), needs, to)
		if err != nil || len(w.Lost) > 0 {
			t.Fatalf("%s: %v, lost %q", to, err, w.Lost)
		}
		for _, f := range linter.Lint(to, w.Body, "") {
			t.Errorf("%s\n%s", f, w.Body)
		}
		reqs, err := named(t, to).Parse(in, w.Body)
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

func named(t *testing.T, name string) dialect.Dialect {
	t.Helper()
	all := dialect.All()
	i := slices.IndexFunc(all, func(d dialect.Dialect) bool { return d.Name == name })
	if i < 0 {
		t.Fatalf("no dialect %s", name)
	}
	return all[i]
}

// host reads the facts of a captured node.
func host(t testing.TB, name string) *facts.Facts {
	t.Helper()
	f, err := os.Open("../hostfacts/testdata/hosts/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	facts, err := hostfacts.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func hostNames() []string {
	return []string{"amd-genoa", "arm64-graviton4", "container-masked", "laptop-alderlake", "riscv64-visionfive2", "vm-milan", "wsl2"}
}

// gpuNode has two GPUs and an MPI.
func gpuNode() *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{"cpu.cpuid": {"AVX2", "X86_64_V1", "X86_64_V2", "X86_64_V3"}, "cpu.archspec": {"x86_64", "x86_64_v2", "x86_64_v3", "zen2"}},
		Attributes: map[string]map[string]string{
			"cpu.x86_64": {"level": "3"}, "cpu.model": {"vendor_id": "AMD", "family": "23", "id": "49"},
			"kernel.version": {"full": "5.14.0-427.el9.x86_64", "major": "5", "minor": "14", "revision": "0"},
			"system.libc":    {"implementation": "glibc", "version": "2.34"},
			"mpi.host":       {"implementation": "openmpi", "version": "4.1.6"},
			"gpu.nvidia":     {"count": "2", "cuda_version": "12.4"},
		},
		Instances: map[string][]map[string]string{"gpu.device": {{"vendor": "nvidia"}, {"vendor": "nvidia"}}},
	})
}

func TestFromFacts(t *testing.T) {
	t.Parallel()
	needs, notes := author.FromFacts(gpuNode(), author.Families())
	const want = "io.archspec/target=x86_64_v3 nfd/kernel-version.major=5 nfd/kernel-version.minor=14 oci/oci.os.glibc=[2.34,) " +
		"org.supercontainers/mpi.implementation=openmpi org.supercontainers/mpi.version=4.1 " +
		"org.supercontainers/hardware.gpu.vendor=nvidia org.supercontainers/hardware.gpu.cuda.version=12.0"
	if got := said(needs); got != want || len(notes) > 0 {
		t.Errorf("%s %q\nwant %s", got, notes, want)
	}
	wantGoodDocuments(t, needs, gpuNode())
	needs, notes = author.FromFacts(facts.New("linux", "", facts.Features{}), author.Families())
	if len(needs) != 0 || len(notes) != len(author.Families()) {
		t.Errorf("of an unknown node: %v %q", needs, notes)
	}
}

// TestFromCapturedHosts: each node fits what is made from it, and nothing of it
// tells it from its twin.
func TestFromCapturedHosts(t *testing.T) {
	t.Parallel()
	for _, name := range hostNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := host(t, name)
			needs, notes := author.FromFacts(facts, author.Families())
			if len(needs) == 0 {
				t.Errorf("nothing: %q", notes)
			}
			wantGoodDocuments(t, needs, facts)
			if full := facts.Lookup("kernel.version", "full").Value; full != "" && strings.Contains(said(needs), full) {
				t.Errorf("the release of the kernel is there: %s", said(needs))
			}
			for _, n := range needs {
				t.Log(fmt.Sprint(n.Attributes), n.Because)
			}
		})
	}
}
