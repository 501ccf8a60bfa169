package dialect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// sampleTest is a sample with its verdict on the three hosts, in order: the HPC
// node, the cloud node, the ARM node of which little is known.
type sampleTest struct {
	file, artifactType, layerType, dialect string
	want                                   [3]string
}

func sampleTests() []sampleTest {
	const compspec = dialect.ArtifactTypeCompspec
	f := func(file, name string, want ...string) sampleTest {
		return sampleTest{file, dialect.ArtifactType, dialect.LayerTypeOutline, name, [3]string(want)}
	}
	c := func(file string, want ...string) sampleTest {
		return sampleTest{file, compspec, compspec, "compspec", [3]string(want)}
	}
	const yes, no, maybe = "fits", "does not fit", "unknown"
	return []sampleTest{
		f("outline/first-revision-nfd", "proposal-f", no, no, no),
		f("outline/first-revision-hpc", "proposal-f", no, no, maybe),
		f("outline/merged-nfd", "proposal-f", no, no, no),
		f("outline/merged-hpc", "proposal-f", no, no, maybe),
		c("compspec/openmpi-ubuntu-gpu-22.04", yes, no, no),
		c("compspec/openmpi-ubuntu-gpu-20.04", yes, no, no),
		c("compspec/intel-mpi-rocky-8", no, yes, no),
		c("compspec/intel-mpi-rocky-9", no, yes, no),
		c("compspec/schemas-example", no, no, no),
		c("compspec/compatlib-xz-libs", yes, yes, yes),
		c("proposal-d/lammps", no, no, maybe),
		c("proposal-d/lammps-archspec", no, no, no),
		f("proposal-b/nvidia", "proposal-b", yes, no, no),
		f("proposal-b/gpus", "proposal-b", no, no, no),
		f("proposal-b/gpus-either", "proposal-b", yes, no, no),
		f("proposal-h/hardware-combinations", "proposal-h", yes, no, no),
		f("proposal-h/scored", "proposal-h", yes, no, no),
		{"proposal-j/lammps-reax-rocky-8-mpich", dialect.ArtifactTypeCompatibilities, dialect.LayerTypeCompatibilities, "proposal-j", [3]string{no, yes, no}},
		{"ocifit/ebpf", dialect.ArtifactTypeCompatibilities, dialect.LayerTypeCompatibilities, "ocifit", [3]string{no, yes, yes}},
	}
}

// TestSamplesOnThreeHosts: every sample of the working group and of the tools that exist,
// on three hosts. The reasons are in a golden file.
func TestSamplesOnThreeHosts(t *testing.T) {
	t.Parallel()
	hosts := []struct {
		name  string
		facts *facts.Facts
	}{{"hpc", compattest.HPC()}, {"cloud", compattest.Cloud()}, {"arm", compattest.ARM()}}
	var told strings.Builder
	for _, tt := range sampleTests() {
		body := compattest.ReadFile(t, tt.file+".json")
		dialect, ok := dialect.Detect(tt.artifactType, tt.layerType, body)
		if !ok || dialect.Name != tt.dialect {
			t.Errorf("%s is taken for %q, not %q", tt.file, dialect.Name, tt.dialect)
			continue
		}
		reqs, err := dialect.Parse(testkit.Interpreter(t), body)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		fmt.Fprintf(&told, "%s (%s)\n", tt.file, tt.dialect)
		for i, host := range hosts {
			v := selector.Evaluate(host.facts, reqs)
			if v.Outcome.String() != tt.want[i] {
				t.Errorf("%s on %s: %s, want %s: %s", tt.file, host.name, v.Outcome, tt.want[i], v.Reason())
			}
			fmt.Fprintf(&told, "  %-6s%s, score %d%s\n", host.name, v.Outcome, v.Score, after(": ", v.Reason()))
		}
	}
	golden.Equal(t, compattest.Testdata+"/samples.golden", told.String())
}

func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

// TestEverySampleIsTested: a sample without a case is no test. Those of NFD are
// YAML and have tests of their own, and what is as printed is refused.
func TestEverySampleIsTested(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(compattest.Testdata, "*", "*.*"))
	if err != nil || len(files) < len(sampleTests()) {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		dir := filepath.Base(filepath.Dir(file))
		if dir == "nfd" || dir == "as-printed" || filepath.Ext(file) == ".golden" {
			continue
		}
		name := dir + "/" + strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		tested := slices.ContainsFunc(sampleTests(), func(tt sampleTest) bool { return tt.file == name })
		if !tested && name != "proposal-d/schema" && name != "proposal-j/entry" {
			t.Errorf("no case for %s", name)
		}
	}
}

// TestEveryDialectHasSamplesAndIsDocumented: a dialect without a sample is not
// fed to the commands, and one without a row in the guide cannot be chosen.
func TestEveryDialectHasSamplesAndIsDocumented(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../../docs/dialects.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dialect.All() {
		isSample := func(tt sampleTest) bool { return tt.dialect == d.Name }
		if d.Name != dialect.NFD && !slices.ContainsFunc(sampleTests(), isSample) {
			t.Errorf("no sample is of the dialect %s", d.Name)
		}
		if !strings.Contains(string(guide), "| `"+d.Name+"` |") {
			t.Errorf("docs/dialects.md has no row for the dialect %s", d.Name)
		}
	}
}

// TestProposalBAsPrintedIsRefusedStepByStep: what Proposal B prints is no JSON, and what is left wrong once
// that is mended is said one by one.
func TestProposalBAsPrintedIsRefusedStepByStep(t *testing.T) {
	t.Parallel()
	printed := string(compattest.ReadFile(t, "as-printed/proposal-b-gpus.json"))
	mend := func(from, to string) { printed = strings.Replace(printed, from, to, 1) }
	for _, step := range []struct {
		from, to, want string
	}{
		{"", "", "row 42, column 9: invalid character '}' looking for beginning of object key string"},
		{"\"y\",\n        }", "\"y\"\n        }", `row 65, column 17: a condition has no key "compatibilties", only compatibilities, condition, annotations`},
		{"compatibilties", "compatibilities", `row 72, column 49: no compatibility has the id "nvidiaGpu" (is "nvidiaGPU" meant?)`},
		{`"id": "nvidiaGPU"`, `"id": "nvidiaGpu"`, ""},
	} {
		mend(step.from, step.to)
		reqs, err := compattest.Dialect(t, "proposal-b").Parse(testkit.Interpreter(t), []byte(printed))
		if got := fmt.Sprint(err); step.want != "" && (got != step.want || reqs != nil) || step.want == "" && err != nil {
			t.Errorf("got  %s\nwant %s", got, step.want)
		}
	}
}

// FuzzDialects: whatever a registry sends, every dialect gives an error or
// requirements that can be evaluated and told.
func FuzzDialects(f *testing.F) {
	for _, tt := range sampleTests() {
		body, err := os.ReadFile(filepath.Join(compattest.Testdata, tt.file+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"spec":{"compatibilities":[],"relations":{"graphs":{},"validationCriteria":[]}}}`))
	f.Add([]byte("version: v1alpha1\ncompatibilities:\n- rules: [{matchFeatures: [{matchExpressions: [{key: a, op: Gte, value: 1}]}]}]\n"))
	f.Add([]byte("%0"))
	in, facts := testkit.Interpreter(f), compattest.HPC()
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, d := range dialect.All() {
			reqs, err := d.Parse(in, body)
			if err != nil {
				if reqs != nil {
					t.Fatalf("%s half read: %v, %v", d.Name, reqs, err)
				}
				continue
			}
			_ = selector.Evaluate(facts, reqs).Reason()
		}
	})
}
