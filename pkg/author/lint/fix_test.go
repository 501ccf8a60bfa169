package lint_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/author/lint"
)

func TestApplyChangesOnlyWhatWasFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, before, after string
		edits               int
	}{
		{
			"comments, quotes and order stay",
			"# mine\nversion: v1alpha1 # of NFD\ncompatibilities:\n- rules:\n  - name: ünïcode\n    matchFeatures:\n    - feature: cpu.model\n      matchExpressions: {vendor_id: {op: In, value: ['Amd', \"GenuineIntel\"]}} # both\n    - {feature: kernel.version, matchExpressions: {major: {op: Gte, value: [\"5\"]}}}\n",
			"# mine\nversion: v1alpha1 # of NFD\ncompatibilities:\n- rules:\n  - name: ünïcode\n    matchFeatures:\n    - feature: cpu.model\n      matchExpressions: {vendor_id: {op: In, value: ['AMD', \"Intel\"]}} # both\n    - {feature: kernel.version, matchExpressions: {major: {op: Ge, value: [\"5\"]}}}\n",
			3,
		},
		{
			"letters of several bytes before it in the row",
			"version: v1alpha1\ncompatibilities:\n- rules: [{name: ünïcode 日本, matchFeatures: [{feature: cpu.model, matchExpressions: {vendor_id: Amd}}]}]\n",
			"version: v1alpha1\ncompatibilities:\n- rules: [{name: ünïcode 日本, matchFeatures: [{feature: cpu.model, matchExpressions: {vendor_id: AMD}}]}]\n",
			1,
		},
		{
			"CRLF stays",
			"version: v1alpha1\r\ncompatibilities:\r\n- rules:\r\n  - matchFeatures:\r\n    - feature: cpu.cpuid\r\n      matchExpressions: {AVX2: {op: exists}}\r\n",
			"version: v1alpha1\r\ncompatibilities:\r\n- rules:\r\n  - matchFeatures:\r\n    - feature: cpu.cpuid\r\n      matchExpressions: {AVX2: {op: Exists}}\r\n",
			1,
		},
		{
			"a bare word becomes a text",
			compattest.NFDRule("    - feature: memory.numa\n      matchExpressions: {is_numa: {op: In, value: [Yes]}}\n"),
			compattest.NFDRule("    - feature: memory.numa\n      matchExpressions: {is_numa: {op: In, value: [\"true\"]}}\n"),
			1,
		},
		{
			"a bare number with 0x becomes a text",
			compattest.NFDRule("    - feature: pci.device\n      matchExpressions: {vendor: {op: In, value: [0x8086]}}\n"),
			compattest.NFDRule("    - feature: pci.device\n      matchExpressions: {vendor: {op: In, value: [\"8086\"]}}\n"),
			1,
		},
		{
			"JSON without spaces",
			`{"compatibilities":{"nfd":{"feature.node.kubernetes.io/cpu-cpuid.AVX2":"yes","ä":"\u00e4"}}}`,
			`{"compatibilities":{"nfd":{"cpu-cpuid.AVX2":"true","ä":"\u00e4"}}}`,
			2,
		},
		{
			"an escape is left alone",
			compattest.ProposalF("nfd", `"cpu-model.vendor_id": "\u0041md"`), compattest.ProposalF("nfd", `"cpu-model.vendor_id": "\u0041md"`), 0,
		},
		{
			"a prefix whose bare key is there",
			compattest.ProposalF("nfd", `"feature.node.kubernetes.io/memory-numa": true, "memory-numa": true`),
			compattest.ProposalF("nfd", `"feature.node.kubernetes.io/memory-numa": true, "memory-numa": true`), 0,
		},
		{
			"a key of a manifest",
			`{"layers": [], "annotations": {"oci.opencontainers.image.created": "2026-01-31T12:00:00Z"}}`,
			`{"layers": [], "annotations": {"org.opencontainers.image.created": "2026-01-31T12:00:00Z"}}`, 1,
		},
	}
	linter := lint.New(testkit.Specs(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, n, err := lint.Apply([]byte(tt.before), linter.Lint("f", []byte(tt.before), ""))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.after || n != tt.edits {
				t.Errorf("%d edits:\n%s\nwant %d:\n%s", n, got, tt.edits, tt.after)
			}
			for _, f := range linter.Lint("f", got, "") {
				if f.Fixable {
					t.Errorf("still: %s", f)
				}
			}
		})
	}
}

func TestDiffShowsChangedRowsOnly(t *testing.T) {
	t.Parallel()
	const want = "--- f\n+++ f\n@@ -2 +2 @@\n-b\n+B\n"
	if got := lint.Diff("f", []byte("a\nb\nc\n"), []byte("a\nB\nc\n")); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := lint.Diff("f", []byte("a\n"), []byte("a\n")); got != "" {
		t.Errorf("%q for equal texts", got)
	}
}

// FuzzLint: whatever is linted, mending it changes nothing but what was found,
// and leaves nothing to mend.
func FuzzLint(f *testing.F) {
	f.Add([]byte(compattest.NFDRule("    - feature: cpu.model\n      matchExpressions: {vendor_id: {op: in, value: [Amd, 'yes']}}\n")))
	f.Add([]byte(compattest.ProposalF("nfd", `"feature.node.kubernetes.io/cpu-cpuid.AVX2": "yes"`)))
	f.Add([]byte(`{"layers":[],"annotations":{"oci.opencontainers.image.created":"x"}}`))
	f.Add([]byte("version: v1alpha1\ncompatibilities:\n- rules: [{matchFeatures: [{feature: pci.device, matchExpressions: {vendor: 0x1}}]}]\n"))
	f.Add([]byte(`{"compatibilities":[{"oci.cpu.vendor":"GenuineIntel","oci.kernel.versions":"[1,"}]}`))
	files, err := filepath.Glob("../../compat/testdata/*/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	linter := lint.New(testkit.Specs(f))
	f.Fuzz(func(t *testing.T, body []byte) {
		fixed, n, err := lint.Apply(body, linter.Lint("f", body, ""))
		if err != nil {
			t.Fatalf("%v: %q", err, body)
		}
		if n == 0 && string(fixed) != string(body) {
			t.Fatalf("%q became %q without an edit", body, fixed)
		}
		if n > 0 {
			again, m, err := lint.Apply(fixed, linter.Lint("f", fixed, ""))
			if err != nil || m > 0 && string(again) == string(fixed) {
				t.Fatalf("%q still has %d edits, %v", fixed, m, err)
			}
		}
	})
}
