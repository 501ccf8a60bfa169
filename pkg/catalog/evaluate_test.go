package catalog_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/registry"
)

// filled is a catalog of the corpus, with what evaluates it.
type filled struct {
	*catalog.Catalog

	reg       *fakeregistry.Registry
	evaluator *decision.Evaluator
	rules     *decision.Rules
}

func newFilled(t *testing.T) *filled {
	t.Helper()
	return newFilledAt(t, catalog.Options{})
}

func newFilledAt(t *testing.T, o catalog.Options) *filled {
	t.Helper()
	reg := fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	c := openAt(t, filepath.Join(t.TempDir(), "catalog.db"), o)
	catalogtest.Add(t, c, reg.Host())
	catalogtest.Sync(t, catalogtest.Syncer(t, c))
	bench := decisiontest.New(t, compattest.HPC())
	return &filled{c, reg, bench.Evaluator, bench.Rules.Load()}
}

func (f *filled) matrix(t *testing.T, nodes ...catalog.Node) *catalog.Matrix {
	t.Helper()
	all, err := catalog.ParseExpression("")
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Evaluate(t.Context(), placement.New(f.evaluator, f.rules), f.rules, all, nodes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// names lists the first names of images, without the registry.
func (f *filled) names(m *catalog.Matrix) string {
	var all []string
	for _, l := range m.Images {
		all = append(all, strings.TrimPrefix(l.Names[0], f.reg.Host()+"/"))
	}
	return strings.Join(all, " ")
}

// upgraded is the HPC node with a newer kernel and driver, and without AVX-512.
func upgraded() *facts.Facts {
	f := compattest.HPC().Features()
	f.Flags["cpu.cpuid"] = []string{"AVX", "AVX2", "BMI2", "SSE42"}
	f.Attributes["kernel.version"] = map[string]string{"full": "6.12.0", "major": "6", "minor": "12", "revision": "0"}
	f.Attributes["kernel.config"]["BPF"] = "y"
	f.Attributes["gpu.nvidia"]["cuda_version"], f.Attributes["gpu.nvidia"]["driver_version"] = "12.8", "570.26"
	return facts.New("linux", "amd64", f)
}

func TestImagesAreEvaluatedOnNodes(t *testing.T) {
	t.Parallel()
	f := newFilled(t)
	hpc, cloud, arm := catalog.Node{Name: "hpc", Facts: compattest.HPC()}, catalog.Node{Name: "cloud", Facts: compattest.Cloud()}, catalog.Node{Name: "arm", Facts: compattest.ARM()}
	m := f.matrix(t, hpc, cloud, arm)
	for _, tt := range []struct{ name, got, want string }{
		{"that run on hpc", f.names(f.matrix(t, hpc).Where((*catalog.MatrixLine).FitsSome)), "ai/torch:11 bad/host:1 hpc/lammps:1 hpc/lammps:2 hpc/mpi:1 mirror/nginx:1 web/nginx:1"},
		{"that run on none", f.names(m.Where((*catalog.MatrixLine).FitsNone)), "bad/lint:1 exotic/riscv:1 net/ebpf:1"},
		{"that do not run on cloud or arm", f.names(f.matrix(t, cloud, arm).Where((*catalog.MatrixLine).FitsNone)), "ai/torch:11 ai/torch:12 bad/host:1 bad/lint:1 exotic/riscv:1 hpc/lammps:2 net/ebpf:1"},
	} {
		if tt.got != tt.want {
			t.Errorf("images %s:\n got %s\nwant %s", tt.name, tt.got, tt.want)
		}
	}
}

func TestWhatChangesWithTheFactsOfANode(t *testing.T) {
	t.Parallel()
	f := newFilled(t)
	m := f.matrix(t, catalog.Node{Name: "before", Facts: compattest.HPC()}, catalog.Node{Name: "after", Facts: upgraded()})
	var got []string
	for _, c := range m.Changes() {
		got = append(got, c.Change+" "+strings.TrimPrefix(c.Names[0], f.reg.Host()+"/"))
	}
	if want := "stops bad/host:1, stops hpc/lammps:2, worse hpc/lammps:1, certain ai/torch:12, starts net/ebpf:1"; strings.Join(got, ", ") != want {
		t.Errorf("got %q", got)
	}
	for _, c := range m.Changes() {
		if c.Change == "stops" && !strings.Contains(c.After.Reason, "needs") {
			t.Errorf("reason %q", c.After.Reason)
		}
	}
}

func TestVariantsThatNoNodeChooses(t *testing.T) {
	t.Parallel()
	f := newFilled(t)
	e, err := catalog.ParseExpression(`repository ~ "*/hpc/*"`)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := f.Query(t.Context(), e, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range f.matrix(t, catalog.Node{Facts: compattest.HPC()}, catalog.Node{Facts: compattest.ARM()}).Unchosen(rows) {
		got = append(got, strings.TrimPrefix(u.Names[0], f.reg.Host()+"/")+" "+u.Platform)
	}
	if want := "hpc/lammps:1 linux/amd64"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheBestImageForANode(t *testing.T) {
	t.Parallel()
	f := newFilled(t)
	e, err := catalog.ParseExpression(`name ~ "*lammps*" or name ~ "*torch*"`)
	if err != nil {
		t.Fatal(err)
	}
	ranked, err := f.Best(t.Context(), f.evaluator, f.rules, e, compattest.Cloud())
	if err != nil || len(ranked) != 1 || !strings.HasSuffix(ranked[0].Name, "hpc/lammps:1") {
		t.Errorf("%v %+v", err, ranked)
	}
}

// The verdicts on what the catalog has are those of a pull.
func TestAnEvaluationFromTheCatalogIsThatOfAPull(t *testing.T) {
	t.Parallel()
	t.Run("whoever signed it", func(t *testing.T) {
		t.Parallel()
		isThatOfAPull(t, newFilled(t))
	})
	t.Run("where signatures are needed", func(t *testing.T) {
		t.Parallel()
		ops := trusttest.New(t, "ed25519")
		f := newFilled(t)
		catalogtest.FillSigned(t, f.reg, ops)
		s := catalogtest.Syncer(t, f.Catalog)
		rules := *f.rules
		rules.Trust, s.Trust = catalogtest.TrustIn(ops), catalogtest.TrustIn(ops)
		f.rules = &rules
		catalogtest.Sync(t, s)
		isThatOfAPull(t, f)
		for name, want := range map[string]string{"signed/artifact:1": "fits", "signed/none:1": "unsigned", "hpc/lammps:2": "unsigned", "signed/index:1": "unsigned"} {
			m := f.matrix(t, catalog.Node{Facts: compattest.Cloud()}).Where(func(l *catalog.MatrixLine) bool { return strings.HasSuffix(l.Names[0], name) })
			if v := m.Images[0].Verdicts[0]; !strings.Contains(v.Outcome.String()+" "+v.Reason, want) {
				t.Errorf("%s: %+v", name, v)
			}
		}
	})
}

// isThatOfAPull compares the verdicts on all images of the catalog with those of pulls.
func isThatOfAPull(t *testing.T, f *filled) {
	t.Helper()
	reg := registry.New(registry.Options{})
	t.Cleanup(reg.Close)
	// A class of nodes words differently why a fact is unknown.
	cause := regexp.MustCompile(`\(unknown: [^)]*\)`)
	for _, node := range []*facts.Facts{compattest.HPC(), compattest.Cloud(), compattest.ARM(), upgraded()} {
		for _, line := range f.matrix(t, catalog.Node{Facts: node}).Images {
			got := line.Verdicts[0]
			s := decision.Snapshot{Rules: f.rules, Facts: node}
			d, err := decision.NewResolver(f.evaluator, reg).Decide(t.Context(), decision.Request{Reference: line.Names[0], Snapshot: s})
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprint(d.Outcome(), " ", cause.ReplaceAllString(d.Reason, "(unknown)"))
			if g := fmt.Sprint(got.Outcome, " ", cause.ReplaceAllString(got.Reason, "(unknown)")); g != want {
				t.Errorf("%s:\n got %s\nwant %s", line.Names[0], g, want)
			}
		}
	}
}
