package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/author/lint"
)

// brief is a finding without its words: where, how bad, what, and the expected
// name where there is one word of it.
func brief(f lint.Finding) string {
	s := fmt.Sprintf("%d:%d %s %s", f.Row, f.Column, f.Severity, f.Code)
	if f.Expected != "" && !strings.Contains(f.Expected, " ") {
		s += " " + f.Expected
	}
	if f.Fixable {
		s += " fix"
	}
	return s
}

func TestLintFindsMistakesInRulesOfNFD(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []string
	}{
		{"clean", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: Exists}}\n"), nil},
		{"feature misspelt", compattest.NFDRule("    - feature: cpu.cpudi\n      matchExpressions: {AVX2: {op: Exists}}\n"), []string{"6:16 error unknown-feature cpu.cpuid"}},
		{"feature of an unknown family", compattest.NFDRule("    - feature: site.fabric\n      matchExpressions: {a: {op: Exists}}\n"), []string{"6:16 warning unknown-feature"}},
		{"operator of an unknown feature", compattest.NFDRule("    - feature: site.fabric\n      matchExpressions: {a: {op: Gte, value: [\"1\"]}}\n"), []string{"6:16 warning unknown-feature", "7:34 error unknown-operator Ge fix"}},
		{"feature in capitals", compattest.NFDRule("    - feature: CPU.CPUID\n      matchExpressions: {AVX2: {op: Exists}}\n"), nil},
		{"element misspelt", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {mayor: {op: Gt, value: [\"5\"]}}\n"), []string{"7:26 error unknown-element major"}},
		{"element with CONFIG_", compattest.NFDRule("    - feature: kernel.config\n      matchExpressions: {CONFIG_SMP: {op: In, value: [\"y\"]}}\n"), []string{"7:26 error unknown-element SMP fix"}},
		{"flag misspelt", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {AVX22: {op: Exists}}\n"), []string{"7:26 error unknown-flag AVX2"}},
		{"flag as the kernel calls it", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {sse4_2: {op: Exists}}\n"), []string{"7:26 error unknown-flag SSE42"}},
		{"flag of tomorrow", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {QUANTUMLEAPS: {op: Exists}}\n"), []string{"7:26 warning unknown-flag"}},
		{"flag of arm64", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {ASIMDDP: {op: Exists}}\n"), nil},
		{"short form with a misspelt flag", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: [AVX2, AVX512]\n"), []string{"7:32 error unknown-flag AVX512F"}},
		{"operator Gte", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {major: {op: Gte, value: [\"5\"]}}\n"), []string{"7:38 error unknown-operator Ge fix"}},
		{"operator in lower case", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: exists}}\n"), []string{"7:37 error unknown-operator Exists fix"}},
		{"operator as a sign", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {major: {op: \">=\", value: [\"5\"]}}\n"), []string{"7:38 error unknown-operator Ge fix"}},
		{"operator misspelt", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: Exsits}}\n"), []string{"7:37 error unknown-operator Exists"}},
		{"vendor Amd", compattest.NFDRule("    - feature: cpu.model\n      matchExpressions:\n        vendor_id: {op: In, value: [\"Intel\", \"Amd\"]}\n"), []string{"8:46 error value-spelling AMD fix"}},
		{"vendor as CPUID has it", compattest.NFDRule("    - feature: cpu.model\n      matchExpressions: {vendor_id: GenuineIntel}\n"), []string{"7:37 error value-spelling Intel fix"}},
		{"yes for true", compattest.NFDRule("    - feature: memory.numa\n      matchExpressions: {is_numa: {op: In, value: [\"yes\"]}}\n"), []string{"7:52 error value-spelling true fix"}},
		{"vendor of a device with 0x", compattest.NFDRule("    - feature: pci.device\n      matchExpressions: {vendor: {op: In, value: [\"0x10DE\"]}}\n"), []string{"7:51 error value-spelling 10de fix"}},
		{"a number", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {major: {op: Gt, value: [5]}}\n"), []string{"7:50 warning not-a-string \"5\""}},
		{"nothing to be in", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {major: {op: In, value: []}}\n"), []string{"7:38 error operator-values"}},
		{"two values for Gt", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {major: {op: Gt, value: [\"5\", \"6\"]}}\n"), []string{"7:38 error operator-values 1"}},
		{"value for Exists", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: Exists, value: [\"1\"]}}\n"), []string{"7:37 error operator-values"}},
		{"bad pattern", compattest.NFDRule("    - feature: cpu.cpuid\n      matchName: {op: InRegexp, value: [\"(\"]}\n"), []string{"7:23 error operator-values"}},
		{"costly pattern", compattest.NFDRule("    - feature: kernel.config\n      matchName: {op: InRegexp, value: [\"(a.{1,9}){35}$\"]}\n"), []string{"1:1 error too-costly"}},
		{"exact model", compattest.NFDRule("    - feature: cpu.model\n      matchExpressions: {id: {op: In, value: [\"85\"]}, family: {op: In, value: [\"6\"]}}\n"), []string{"7:26 warning build-host", "7:55 warning build-host"}},
		{"full release", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {full: {op: Ge, value: [\"6.8.0-45-generic\"], type: version}}\n"), []string{"7:26 warning build-host"}},
		{"host name", compattest.NFDRule("    - feature: system.name\n      matchExpressions: {nodename: {op: In, value: [\"build-17\"]}}\n"), []string{"7:26 warning build-host"}},
		{"6.1 or later, part by part", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {major: {op: In, value: [\"6\"]}, minor: {op: Ge, value: [\"1\"]}}\n"), []string{"7:57 warning version-parts"}},
		{"both there and not", compattest.NFDRule("    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: Exists}}\n    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: DoesNotExist}}\n"), []string{"9:26 error contradiction"}},
		{"above the one, below the other", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {full: {op: Gt, value: [\"6.8\"]}}\n    - feature: kernel.version\n      matchExpressions: {full: {op: Lt, value: [\"5.10\"]}}\n"), []string{"9:26 error contradiction"}},
		{"between two that leave room", compattest.NFDRule("    - feature: kernel.version\n      matchExpressions: {full: {op: Gt, value: [\"6.8\"]}}\n    - feature: kernel.version\n      matchExpressions: {full: {op: Lt, value: [\"6.9\"]}}\n"), nil},
		{"two lists without a common value", compattest.NFDRule("    - feature: cpu.model\n      matchExpressions: {vendor_id: {op: In, value: [\"Intel\"]}}\n    - feature: cpu.model\n      matchExpressions: {vendor_id: {op: In, value: [\"AMD\"]}}\n"), []string{"9:26 error contradiction"}},
		{"two devices", compattest.NFDRule("    - feature: pci.device\n      matchExpressions: {vendor: {op: In, value: [\"8086\"]}}\n    - feature: pci.device\n      matchExpressions: {vendor: {op: In, value: [\"10de\"]}}\n"), nil},
		{"flags of x86 on arm64", compattest.NFDRule("    - feature: cpu.archspec\n      matchExpressions: {neoverse_v1: {op: Exists}}\n    - feature: cpu.cpuid\n      matchExpressions: {AVX2: {op: Exists}}\n"), []string{"9:26 error wrong-architecture"}},
		{"unknown target", compattest.NFDRule("    - feature: cpu.archspec\n      matchExpressions: {skylak: {op: Exists}}\n"), []string{"7:26 error unknown-target skylake"}},
		{"unknown key", "version: v1alpha1\ncompatibilities:\n- rules: []\n  wieght: 3\n", []string{"3:10 warning empty-rule", "4:3 error shape"}},
		{"empty rule", "version: v1alpha1\ncompatibilities:\n- rules:\n  - name: nothing\n", []string{"4:5 warning empty-rule"}},
		{"no YAML", "version: v1alpha1\n\tx: 1\n", []string{"2:1 error syntax"}},
		{"no sets", "version: v1alpha1\ncompatibilities: []\n", []string{"2:18 warning empty-rule"}},
	}
	linter := lint.New(testkit.Specs(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantFindings(t, linter.Lint("needs.yaml", []byte(tt.body), ""), tt.want)
		})
	}
}

func TestLintAcceptsAKernelWrittenInTwoWays(t *testing.T) {
	t.Parallel()
	const body = `version: v1alpha1
compatibilities:
- rules:
  - name: kernel
    matchAny:
    - matchFeatures: [{feature: kernel.version, matchExpressions: {major: {op: Gt, value: ["6"]}}}]
    - matchFeatures: [{feature: kernel.version, matchExpressions: {major: {op: In, value: ["6"]}, minor: {op: Ge, value: ["1"]}}}]
`
	wantFindings(t, lint.New(testkit.Specs(t)).Lint("needs.yaml", []byte(body), ""), nil)
}

func TestLintFindsMistakesInAttributes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []string
	}{
		{"clean", compattest.ProposalF("nfd", `"cpu-cpuid.AVX2": true, "kernel-version.major": 6, "kernel-version.minor": 8`), nil},
		{"unknown attribute", compattest.ProposalF("nfd", `"cpu-cupid.AVX2": true`), []string{"1:30 error unknown-attribute cpu-cpuid.AVX2"}},
		{"unknown key of a group", compattest.ProposalF("mpi", `"implementaton": "openmpi"`), []string{"1:30 error unknown-attribute implementation"}},
		{"unknown flag", compattest.ProposalF("nfd", `"cpu-cpuid.AVX512": true`), []string{"1:30 error unknown-flag AVX512F"}},
		{"yes", compattest.ProposalF("nfd", `"cpu-cpuid.AVX2": "yes"`), []string{"1:48 error value-spelling true fix"}},
		{"neither", compattest.ProposalF("nfd", `"memory-numa": "perhaps"`), []string{"1:45 error bad-value"}},
		{"vendor", compattest.ProposalF("nfd", `"cpu-model.vendor_id": "GenuineIntel"`), []string{"1:53 error value-spelling Intel fix"}},
		{"vendor that the spec takes", compattest.ProposalF("io.archspec", `"cpu.vendor": "GenuineIntel"`), nil},
		{"model", compattest.ProposalF("io.archspec", `"cpu.model": "13th Gen Intel(R) Core(TM) i5-1335U"`), []string{"1:38 warning build-host"}},
		{"target", compattest.ProposalF("io.archspec", `"target": "x86_64_v33"`), []string{"1:48 error unknown-target x86_64_v3"}},
		{"target and flags", compattest.ProposalF("cpu", `"target": "aarch64", "cpu-cpuid.AVX2": true`), []string{"1:51 error wrong-architecture"}},
		{"label", compattest.ProposalF("nfd", `"feature.node.kubernetes.io/cpu-cpuid.AVX2": true`), []string{"1:30 warning label-prefix cpu-cpuid.AVX2 fix"}},
		{"minor alone", compattest.ProposalF("nfd", `"kernel-version.minor": 8`), []string{"1:54 error bad-value"}},
		{"empty group", compattest.ProposalF("nfd", ``), []string{"1:29 warning empty-rule"}},
		{"nothing", `{"compatibilities": {}}`, []string{"1:21 warning empty-rule"}},
		{"list for a scalar", compattest.ProposalF("nfd", `"memory-numa": [true]`), []string{"1:45 error shape"}},
		{"broken", `{"compatibilities": {"nfd": {"a": 1,}}}`, []string{"1:37 error syntax"}},
		{"other shape", `{"a": 1}`, []string{"1:1 error shape"}},
		{"rule of Kubernetes", "apiVersion: nfd.k8s-sigs.io/v1alpha1\nkind: NodeFeatureRule\nspec: {rules: [{name: a}]}\n", []string{"2:7 error shape"}},
		{"list at the top", `[]`, []string{"1:1 error shape"}},
		{"host name", compattest.ProposalF("nfd", `"kernel-version.full": "6.8.0-45-generic"`), []string{"1:30 warning build-host"}},
		{"range the wrong way round", `{"compatibilities": [{"oci.kernel.versions": "[5.16, 4.19)"}]}`, []string{"1:46 error bad-value"}},
		{"compspec", `{"version": "0", "kind": "CompatibilitySpec", "compatibilities": [{"name": "io.archspec", "version": "0", "attributes": {"cpu.traget": "zen2"}}]}`, []string{"1:122 error unknown-attribute cpu.target"}},
		{"proposal B", `{"spec": {"compatibilities": [{"id": "a", "domain": "org.opencontainers", "attributes": {"hardware.cpu.vendro": "AMD"}}]}}`, []string{"1:90 error unknown-attribute hardware.cpu.vendor"}},
		{"ocifit, unknown label", `{"version": "v1alpha1", "compatibilities": [{"rules": [{"matchFeatures": [{"matchExpressions": [{"key": "feature.node.kubernetes.io/kernel-versoin.major", "op": "Gte", "value": ["6"]}]}]}]}]}`, []string{"1:105 error unknown-attribute kernel-version.major"}},
	}
	linter := lint.New(testkit.Specs(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantFindings(t, linter.Lint("needs.json", []byte(tt.body), ""), tt.want)
		})
	}
}

func TestLintFindsMisspeltAnnotationsInManifests(t *testing.T) {
	t.Parallel()
	manifest := func(annotations string) string {
		return `{"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [], "annotations": {` + annotations + `}}`
	}
	tests := []struct {
		name, body string
		want       []string
	}{
		{"right", manifest(`"org.opencontainers.image.created": "2026-01-31T12:00:00Z"`), nil},
		{"misspelt", manifest(`"oci.opencontainers.image.created": "2026-01-31T12:00:00Z"`), []string{"1:91 error annotation-key org.opencontainers.image.created fix"}},
		{"both", manifest(`"oci.opencontainers.image.created": "x", "org.opencontainers.image.created": "2026-01-31T12:00:00Z"`), []string{"1:91 error annotation-key org.opencontainers.image.created"}},
		{"no time", manifest(`"org.opencontainers.image.created": "yesterday"`), []string{"1:127 error bad-value"}},
		{"another one", manifest(`"com.example.image.created": "yesterday"`), nil},
	}
	linter := lint.New(testkit.Specs(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantFindings(t, linter.Lint("manifest.json", []byte(tt.body), ""), tt.want)
		})
	}
}

// TestLintAcceptsSamplesOfOthers: what other people wrote has no errors but those that are
// known.
func TestLintAcceptsSamplesOfOthers(t *testing.T) {
	t.Parallel()
	known := map[string]string{"kep1845-preferred-fallback.yaml": "value-spelling", "schema.json": "shape", "entry.json": "shape"}
	linter := lint.New(testkit.Specs(t))
	files, err := filepath.Glob("../../compat/testdata/*/*.*")
	if err != nil || len(files) < 20 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden") || strings.Contains(file, "/as-printed/") {
			continue
		}
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range linter.Lint(file, body, "") {
			if f.Severity == lint.Error && f.Code != known[filepath.Base(file)] {
				t.Errorf("%s", f)
			}
		}
	}
}

func wantFindings(t *testing.T, findings []lint.Finding, want []string) {
	t.Helper()
	var got []string
	for _, f := range findings {
		got = append(got, brief(f))
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		for _, f := range findings {
			t.Log(f)
		}
	}
}
