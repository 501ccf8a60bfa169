package whatif_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/page"
	"github.com/imagefit/imagefit/pkg/selector"
	"github.com/imagefit/imagefit/pkg/whatif"
)

const (
	app  = "registry.example/app:1"
	cuda = "registry.example/cuda:1"
	gone = "registry.example/gone:1"
)

func nfd(conditions string) string {
	return "version: v1alpha1\ncompatibilities:\n- rules:\n  - name: r\n    matchFeatures:\n    - feature: " + conditions + "\n"
}

// samples are an image with a variant for newer kernels, one that needs CUDA, and one
// that the registry does not have.
func samples(t testing.TB) []whatif.Image {
	t.Helper()
	return []whatif.Image{
		{Name: app, Needs: decisiontest.Needs(t, app,
			decisiontest.Variant{OS: "linux", Architecture: "amd64", Body: nfd("kernel.version\n      matchExpressions: {major: {op: Gt, value: [\"4\"]}}")},
			decisiontest.Variant{OS: "linux", Architecture: "amd64", Level: "v3", Body: nfd("kernel.version\n      matchExpressions: {major: {op: Gt, value: [\"6\"]}}")},
		)},
		{Name: cuda, Needs: decisiontest.Needs(t, cuda,
			decisiontest.Variant{OS: "linux", Architecture: "amd64", Body: nfd("gpu.nvidia\n      matchExpressions: {driver_version: {op: In, value: [\"580.65.06\"]}}")},
		)},
		{Name: gone, Err: errors.New("the registry answers 404\n\x1b[2J")},
	}
}

func evaluate(t testing.TB, images []whatif.Image, hosts []whatif.Host) *whatif.Grid {
	t.Helper()
	bench := decisiontest.New(t, testkit.Node(2))
	g, err := whatif.Evaluator{Decisions: bench.Evaluator, Rules: bench.Rules.Load()}.Evaluate(t.Context(), images, hosts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestEachHostIsEvaluatedAsAPullOnIt(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var hosts []whatif.Host
	for i, kind := range compattest.MachineTypes(t) {
		for n := range 3 {
			name := fmt.Sprintf("type-%d-%d", i, n)
			hosts = append(hosts, whatif.Host{Name: name, Facts: compattest.Noisy(r, kind, name)})
		}
	}
	images := samples(t)
	g := evaluate(t, images, hosts)
	bench := decisiontest.New(t, testkit.Node(2))
	seen := map[selector.Outcome]int{}
	for i, image := range images {
		for h, host := range hosts {
			c := g.Cell(i, h)
			seen[c.Outcome]++
			if image.Err != nil {
				if c.Outcome != selector.Unknown || c.Reason != "the registry answers 404; ?[2J" {
					t.Errorf("%s: %+v", image.Name, c)
				}
				continue
			}
			d, err := bench.Evaluate(t.Context(), image.Needs, decision.Snapshot{Rules: bench.Rules.Load(), Facts: host.Facts}, true)
			if err != nil {
				t.Fatal(err)
			}
			if c.Outcome != d.Outcome() || d.Choice >= 0 && c.Digest != d.Candidates[d.Choice].Digest || c.Reason != d.Reason {
				t.Errorf("%s on %s: %s %s\nwant %s: %s", image.Name, host.Name, c.Outcome, c.Reason, d.Outcome(), d.Reason)
			}
			if wantFailing := d.Outcome() != selector.Fits && len(d.Candidates) > 0; wantFailing != (len(c.Failing) > 0) {
				t.Errorf("%s on %s: %s, failing %v", image.Name, host.Name, c.Outcome, c.Failing)
			}
		}
	}
	if seen[selector.Fits] == 0 || seen[selector.Unfit] == 0 || seen[selector.Unknown] == 0 {
		t.Errorf("outcomes %v: the test tests little", seen)
	}
}

// changed is what changes of one of two hosts do.
func changed(t testing.TB, changes ...string) *whatif.Grid {
	t.Helper()
	gpu, milan := compattest.GPU(), compattest.Captured(t, "vm-milan")
	after, err := hostfacts.Change(gpu, changes...)
	if err != nil {
		t.Fatal(err)
	}
	return evaluate(t, samples(t), []whatif.Host{
		{Name: "gpu", Facts: after, Before: gpu}, {Name: "milan", Facts: milan, Before: milan},
	})
}

func TestChangeOfHostsIsCompared(t *testing.T) {
	t.Parallel()
	g := changed(t, "nvidia.driver=580.65.06", "kernel.version=7.1.0")
	if c := g.Cell(1, 0); c.Outcome != selector.Fits || c.Before.Outcome != selector.Unfit || !c.Changed() || c.Worse() {
		t.Errorf("the driver: %+v before %+v", c, c.Before)
	}
	if c := g.Cell(0, 0); c.Platform != "linux/amd64/v3" || c.Before.Platform != "linux/amd64" || !c.Changed() || c.Worse() {
		t.Errorf("another variant: %+v before %+v", c, c.Before)
	}
	if c := g.Cell(0, 1); c.Changed() {
		t.Errorf("a host without a change: %+v", c)
	}
	if n := g.Counts(); n.Changed != 2 || n.Worse != 0 || n.Fits+n.Unfit+n.Unknown != 6 {
		t.Errorf("counts %+v", n)
	}
	older := changed(t, "kernel.version=4.18.0")
	if c := older.Cell(0, 0); !c.Worse() || len(c.Failing) != 2 || c.Failing[0].Have == "" {
		t.Errorf("an older kernel: %+v", c)
	}
}

func TestGridIsWrittenForScripts(t *testing.T) {
	t.Parallel()
	g := changed(t, "nvidia.driver=580.65.06")
	var b bytes.Buffer
	if err := g.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 7 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got := strings.Join(rows[3][:4], " "); got != cuda+" gpu fits linux/amd64" || rows[3][6] != "does not fit" {
		t.Errorf("row %q", rows[3])
	}
	var entries []whatif.Entry
	for e := range g.Entries() {
		entries = append(entries, e)
	}
	text, err := json.Marshal(entries[2])
	if err != nil || !strings.HasPrefix(string(text), `{"image":"`+cuda+`","host":"gpu","verdict":"fits"`) ||
		!strings.Contains(string(text), `"before":{"verdict":"does not fit"}`) {
		t.Errorf("%s, %v", text, err)
	}
	if groups := g.Groups(); len(groups) < 4 {
		t.Errorf("%d groups", len(groups))
	}
	g.Images[0] = "=HYPERLINK(1)"
	if err := g.WriteCSV(&b); err != nil || !strings.Contains(b.String(), "\n'=HYPERLINK(1),") {
		t.Errorf("a formula is in the CSV: %v\n%s", err, b.String())
	}
}

func TestGridIsAPartOfAPage(t *testing.T) {
	t.Parallel()
	g := changed(t, "nvidia.driver=580.65.06")
	c := g.Matrix().Cell(1, 0)
	if c.Verdict != page.Fits || c.Before.Verdict != page.Unfit || c.Variant != "linux/amd64" {
		t.Errorf("cell %+v before %+v", c, c.Before)
	}
	var b bytes.Buffer
	if err := (page.Page{Title: "t", Parts: []page.Part{g.Matrix()}}).Write(&b); err != nil || !strings.Contains(b.String(), cuda) {
		t.Errorf("%v", err)
	}
}
