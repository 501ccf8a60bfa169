package convert_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

func samples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../compat/testdata/*/*.*")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(f string) bool {
		base := filepath.Base(f)
		return strings.HasSuffix(f, ".golden") || strings.Contains(f, "/as-printed/") || base == "schema.json" || base == "entry.json"
	})
}

// TestConvertKeepsTheVerdict: where nothing is said to be lost, every captured
// node gets the same verdict from both documents, and the same score.
func TestConvertKeepsTheVerdict(t *testing.T) {
	t.Parallel()
	in := spec.NewInterpreter(testkit.Specs(t))
	nodes := map[string]*facts.Facts{"gpu": compattest.GPU()}
	for _, name := range compattest.CapturedNames() {
		nodes[name] = compattest.Captured(t, name)
	}
	kept := map[string]int{}
	for _, file := range samples(t) {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		from, ok := dialect.Detect("", "", body)
		before, err := from.Parse(in, body)
		if err != nil || !ok {
			t.Fatalf("%s: %v", file, err)
		}
		for _, to := range convert.Targets() {
			w, err := convert.Body(testkit.Specs(t), body, to)
			if err != nil {
				t.Fatalf("%s to %s: %v", file, to, err)
			}
			after, err := compattest.Dialect(t, to).Parse(in, w.Body)
			if err != nil {
				t.Fatalf("%s to %s: %v\n%s", file, to, err, w.Body)
			}
			if len(w.Lost) > 0 {
				continue
			}
			kept[to]++
			for name, facts := range nodes {
				a, b := selector.Evaluate(facts, before), selector.Evaluate(facts, after)
				if a.Outcome != b.Outcome || a.Outcome == selector.Fits && a.Score != b.Score {
					t.Errorf("%s to %s on %s: %s %d, before %s %d\n%s", file, to, name, b.Outcome, b.Score, a.Outcome, a.Score, w.Body)
				}
			}
		}
	}
	for _, to := range convert.Targets() {
		if kept[to] < 5 {
			t.Errorf("only %d samples survive in %s", kept[to], to)
		}
	}
}

// TestConvertNotesWhatNFDLacks: NFD 0.19 exports kernel.kvm, and nothing of GPUs.
func TestConvertNotesWhatNFDLacks(t *testing.T) {
	t.Parallel()
	for feature, want := range map[string]bool{"kernel.kvm": false, "memory.hugepages": false, "gpu.nvidia": true, "system.libc": true} {
		body := `{"version": "v1alpha1", "compatibilities": [{"rules": [{"name": "x", "matchFeatures": [` +
			`{"feature": "` + feature + `", "matchExpressions": {"enabled": {"op": "IsTrue"}}}]}]}]}`
		w, err := convert.Body(testkit.Specs(t), []byte(body), "nfd-v1alpha1")
		if err != nil {
			t.Fatalf("%s: %v", feature, err)
		}
		note := "NFD itself has no feature " + feature
		got := slices.ContainsFunc(w.Notes, func(n string) bool { return strings.HasPrefix(n, note) })
		if got != want {
			t.Errorf("%s: notes %q, want one that NFD lacks it: %v", feature, w.Notes, want)
		}
	}
}

func TestConvertWritesTheSameMeaning(t *testing.T) {
	t.Parallel()
	const kernel = `    matchAny:
    - matchFeatures: [{feature: kernel.version, matchExpressions: {major: {op: Gt, value: ["6"]}}}]
    - matchFeatures: [{feature: kernel.version, matchExpressions: {major: {op: In, value: ["6"]}, minor: {op: Ge, value: ["8"]}}}]
`
	tests := []struct {
		name, body, to string
		want           string // the document, without white space
		lost           []string
	}{
		{
			"flags", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: Exists}, SSE4A: {op: DoesNotExist}}\n"), "proposal-f",
			`{"compatibilities":{"nfd":{"cpu-cpuid.AVX2":true,"cpu-cpuid.SSE4A":false}}}`, nil,
		},
		{
			"a kernel in two ways", "version: v1alpha1\ncompatibilities:\n- rules:\n  - name: k\n" + kernel, "proposal-f",
			`{"compatibilities":{"nfd":{"kernel-version.full":"6.8"}}}`, nil,
		},
		{
			"a major version", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {major: {op: Gt, value: [\"5\"]}}\n"), "proposal-f",
			`{"compatibilities":{"nfd":{"kernel-version.full":"6"}}}`, nil,
		},
		{
			"a device", compattest.NFDRule("    - feature: pci.device\n      matchExpressions: {vendor: {op: In, value: [\"10de\"]}, class: {op: In, value: [\"0302\"]}}\n"), "proposal-f",
			`{"compatibilities":{"nfd":{"pci-0302_10de.present":true}}}`, nil,
		},
		{
			"a range", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {full: {op: GeLe, value: [\"5.10\", \"6.8\"], type: version}}\n"), "proposal-f",
			`{"compatibilities":{}}`, []string{"kernel.version from 5.10 to 6.8: no attribute says this"},
		},
		{
			"one of two", compattest.NFDRule("    - feature: cpu.model\n      matchExpressions: {vendor_id: {op: In, value: [\"Intel\", \"AMD\"]}}\n"), "proposal-f",
			`{"compatibilities":{}}`, []string{"cpu.model vendor_id=Intel|AMD: no attribute says this"},
		},
		{
			"an attribute twice", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {full: {op: Ge, value: [\"6\"]}}\n    - feature: kernel.version\n      matchExpressions: {major: {op: Ge, value: [\"5\"]}}\n"), "proposal-f",
			`{"compatibilities":{"nfd":{"kernel-version.full":"6"}}}`, []string{"nfd/kernel-version.full = 5: the attribute has another value already"},
		},
		{
			"attributes to rules", compattest.ProposalF("nfd", `"cpu-cpuid.AVX2": true, "memory-numa": false`), "nfd-v1alpha1",
			`version:v1alpha1compatibilities:-rules:-name:nfd/cpu-cpuid.AVX2matchFeatures:-feature:cpu.cpuidmatchExpressions:AVX2:op:Exists-name:nfd/memory-numamatchFeatures:-feature:memory.numamatchExpressions:is_numa:op:IsFalse`, nil,
		},
		{
			"a preference", compattest.ProposalF("nfd", `"cpu-pstate.turbo": true`), "nfd-v1alpha1",
			`version:v1alpha1compatibilities:-weight:1rules:-name:nfd/cpu-pstate.turbomatchFeatures:-feature:cpu.pstatematchExpressions:turbo:op:IsTrue-rules:[]`, nil,
		},
		{
			"what nobody knows", compattest.ProposalF("x", `"y": true`), "nfd-v1alpha1",
			`version:v1alpha1compatibilities:-rules:[]`, []string{"x/y: no compatibility spec knows this attribute"},
		},
		{
			"attributes to compspec", compattest.ProposalF("io.archspec", `"target": "zen2"`), "compspec",
			`{"version":"0.0.0","kind":"CompatibilitySpec","metadata":{"name":"imagefit"},"compatibilities":[{"name":"io.archspec","version":"0.0.0","attributes":{"target":"zen2"}}]}`, nil,
		},
		{
			"a score", `{"compatibilities": [{"oci.cpu.vendor": "AMD", "oci.compatibility-score": 5}]}`, "proposal-f",
			`{"compatibilities":{"oci":{"oci.cpu.vendor":"AMD"}}}`, []string{"the score 5"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, err := convert.Body(testkit.Specs(t), []byte(tt.body), tt.to)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(string(w.Body)), ""); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
			if !slices.Equal(w.Lost, tt.lost) {
				t.Errorf("lost %q, want %q", w.Lost, tt.lost)
			}
		})
	}
}

func TestConvertRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, to, want string }{
		"broken":         {`{"compatibilities": {`, "proposal-f", "row 1, column"},
		"other shape":    {`{}`, "proposal-f", "not a form that imagefit reads"},
		"wrong shape":    {compattest.ProposalF("nfd", `"a": [1]`), "proposal-f", "read as proposal-f: row 1"},
		"other dialects": {compattest.ProposalF("nfd", `"memory-numa": true`), "klingon", `write "klingon"`},
	} {
		_, err := convert.Body(testkit.Specs(t), []byte(tt.body), tt.to)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// FuzzConvert: whatever is converted can be read again.
func FuzzConvert(f *testing.F) {
	f.Add([]byte(compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: Exists}}\n")))
	f.Add([]byte(compattest.ProposalF("nfd", `"cpu-cpuid.AVX2": true`)))
	f.Add([]byte(`{"compatibilities":[{"oci.cpu.vendor":"GenuineIntel","oci.kernel.versions":"[1,2)"}]}`))
	f.Add([]byte(`{"spec":{"compatibilities":[{"id":"a","domain":"org.opencontainers","attributes":{"hardware.cpu.vendor":"AMD"}}],"relations":{"graphs":{"g":{"edges":[]}},"validationCriteria":[{"graphs":["g"],"condition":"noneOf"}]}}}`))
	all := testkit.Specs(f)
	in := spec.NewInterpreter(all)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, to := range convert.Targets() {
			w, err := convert.Body(all, body, to)
			if err != nil {
				continue
			}
			for _, d := range dialect.All() {
				if d.Name != to {
					continue
				}
				if _, err := d.Parse(in, w.Body); err != nil {
					t.Fatalf("%s: %v\n%s\nfrom %q", to, err, w.Body, body)
				}
			}
		}
	})
}
