package selector_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

func pci(vendor, class string) map[string]string {
	return map[string]string{"vendor": vendor, "class": class}
}

func host(arch, vendor, kernel, major string, flags, modules []string, devices ...map[string]string) *facts.Facts {
	return facts.New("linux", arch, facts.Features{
		Flags: map[string][]string{"cpu.cpuid": flags, "kernel.loadedmodule": modules},
		Attributes: map[string]map[string]string{
			"cpu.model":      {"vendor_id": vendor},
			"kernel.version": {"full": kernel, "major": major, "minor": "1", "revision": "0"},
		},
		Instances: map[string][]map[string]string{"pci.device": devices},
	})
}

// hosts are the nodes that the samples are held against.
func hosts() map[string]*facts.Facts {
	return map[string]*facts.Facts{
		"intel with vfio": host("amd64", "Intel", "5.14.0-427.13.1.el9_4.x86_64", "5",
			[]string{"AVX", "AVX2", "SSE42"}, []string{"vfio-pci", "ip_tables"}, pci("0eee", "0200"), pci("8086", "0600")),
		"intel, split over two devices": host("amd64", "Intel", "5.14.0", "5",
			[]string{"SSE42"}, []string{"vfio-pci", "ip_tables"}, pci("0eee", "0300"), pci("8086", "0200")),
		"amd cloud vm": host("amd64", "AMD", "6.1.0-13-amd64", "6",
			[]string{"AVX", "AVX2", "SSE42"}, []string{"ip_tables", "virtio_net"}, pci("1b36", "0600"), pci("1af4", "0200")),
		"arm": host("arm64", "ARM", "6.8.0-1009-aws", "6", []string{"ASIMD"}, []string{"ip_tables"}, pci("1d0f", "0200")),
		"intel, in the dark": facts.New("linux", "amd64", facts.Features{
			Attributes: map[string]map[string]string{"cpu.model": {"vendor_id": "Intel"}},
			Unknown:    map[string]string{"kernel.loadedmodule": "permission denied", "pci.device": "no /sys"},
		}),
		"old": host("amd64", "AMD", "4.18.0-553.el8", "4", nil, nil),
	}
}

// TestSamplesOfNFDAreEvaluatedAsByNFD holds the published samples against every host.
func TestSamplesOfNFDAreEvaluatedAsByNFD(t *testing.T) {
	t.Parallel()
	type want struct {
		outcome selector.Outcome
		score   int
		reason  string
	}
	const (
		noNIC    = "one of: pci.device vendor=0eee and class=0200; pci.device vendor=0fff and class=0200 (none found)"
		noBridge = "one of: pci.device vendor=8086 and class=0600; pci.device vendor=1b36 and class=0600 (none found)"
		darkPCI  = "kernel.loadedmodule vfio-pci (unknown: permission denied), one of: pci.device vendor=0eee and class=0200; pci.device vendor=0fff and class=0200 (unknown: no /sys)"
	)
	tests := map[string]map[string]want{
		"docs-usage.yaml": {
			"intel with vfio":               {fits, 0, ""},
			"intel, split over two devices": {unfit, 0, "needs " + noNIC},
			"amd cloud vm":                  {unfit, 0, "needs kernel.loadedmodule vfio-pci (absent), " + noNIC},
			"arm":                           {unfit, 0, "needs kernel.loadedmodule vfio-pci (absent), cpu.model vendor_id=Intel|AMD (is ARM), " + noNIC},
			"intel, in the dark":            {unknown, 0, "needs " + darkPCI},
		},
		"examples.yaml": {
			"intel with vfio":               {fits, 0, ""},
			"intel, split over two devices": {unfit, 0, "needs cpu.cpuid a name like ^AVX (none found), " + noNIC},
			"amd cloud vm":                  {unfit, 0, "needs kernel.loadedmodule vfio-pci (absent), " + noNIC},
		},
		"kep1845-preferred-fallback.yaml": {
			"intel with vfio":    {fits, 10, ""},
			"amd cloud vm":       {unfit, 0, "needs one of: kernel.loadedmodule vfio-pci (absent) and cpu.model vendor_id=Intel|Amd (is AMD); cpu.model vendor_id=Intel|Amd (is AMD)"},
			"arm":                {unfit, 0, "needs one of: kernel.loadedmodule vfio-pci (absent) and cpu.model vendor_id=Intel|Amd (is ARM); cpu.model vendor_id=Intel|Amd (is ARM)"},
			"intel, in the dark": {fits, 1, ""},
		},
		"kep2403-optimal-minimum.json": {
			"intel with vfio": {fits, 50, ""},
			"amd cloud vm":    {fits, 100, ""},
			"arm":             {fits, 50, ""},
			"old":             {unfit, 0, "needs one of: kernel.version major=6 (is 4) and cpu.cpuid AVX2 (absent); kernel.version major=5|6 (is 4)"},
		},
		"xunli-multi-rules.yaml": {
			"intel with vfio":    {unfit, 0, "needs cpu.model vendor_id=AMD (is Intel)"},
			"amd cloud vm":       {fits, 0, ""},
			"arm":                {unfit, 0, "needs cpu.model vendor_id=AMD (is ARM), " + noBridge},
			"intel, in the dark": {unfit, 0, "needs cpu.model vendor_id=AMD (is Intel)"},
		},
		"xunli-incompatible-kernel-pci.yaml": {
			"intel with vfio": {unfit, 0, "needs kernel.loadedmodule ata_generic (absent), cpu.model vendor_id=AMD (is Intel)"},
			"amd cloud vm":    {unfit, 0, "needs kernel.loadedmodule ata_generic (absent)"},
			"arm":             {unfit, 0, "needs kernel.loadedmodule ata_generic (absent), cpu.model vendor_id=AMD (is ARM), " + noBridge},
		},
		"xunli-compatible-kernel-pci.yaml": {
			"intel with vfio":               {fits, 0, ""},
			"intel, split over two devices": {unfit, 0, "needs " + noBridge},
			"amd cloud vm":                  {unfit, 0, "needs cpu.model vendor_id=Intel (is AMD)"},
		},
		"every-rule.yaml": {
			"intel with vfio":    {fits, 7, ""},
			"amd cloud vm":       {fits, 7, ""},
			"old":                {unfit, 0, "needs kernel.version from 5.10 to 6.99 (is 4.18.0-553.el8), cpu.cpuid AVX2 (absent), rule.matched tier=gold (absent), rule.matched any of tier (none found)"},
			"intel, in the dark": {unknown, 0, "needs kernel.version from 5.10 to 6.99 and major=5|6 and minor of any value and revision (unknown: no collector for kernel.version), cpu.cpuid AVX2 and SSE42 and a name like ^AVX (unknown: no collector for cpu.cpuid), rule.matched tier=gold and count > 2 (unknown: whether base holds is unknown), rule.matched any of tier (unknown: whether base holds is unknown)"},
		},
	}
	facts := hosts()
	for sample, wants := range tests {
		reqs := parseNFD(t, readSample(t, sample))
		for name, want := range wants {
			t.Run(sample+" on "+name, func(t *testing.T) {
				t.Parallel()
				v := selector.Evaluate(facts[name], reqs)
				if v.Outcome != want.outcome || v.Score != want.score || v.Reason() != want.reason {
					t.Errorf("got %s, score %d: %s\nwant %s, score %d: %s",
						v.Outcome, v.Score, v.Reason(), want.outcome, want.score, want.reason)
				}
			})
		}
	}
}

func readSample(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "compat", "testdata", "nfd", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func parseNFD(t *testing.T, body string) []compat.Requirement {
	t.Helper()
	nfd, ok := dialect.Named(dialect.NFD)
	if !ok {
		t.Fatal("no dialect of NFD")
	}
	reqs, err := nfd.Parse(nil, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return reqs
}

// oneSet is a spec of one set with the rules, in flow style.
func oneSet(rules string) string {
	return "{version: v1alpha1, compatibilities: [{weight: 3, rules: [" + rules + "]}]}"
}

// feature is a rule that asks one thing of one feature.
func feature(name, conditions string) string {
	return "{matchFeatures: [{feature: " + name + ", " + conditions + "}]}"
}

// TestOperatorsAgreeWithThoseOfNFD is every row of the operator tables of NFD's
// customization guide, on an element that is there, one that is known to be
// missing, and one that is unknown. Where NFD decides otherwise, the row says
// what NFD says.
func TestOperatorsAgreeWithThoseOfNFD(t *testing.T) {
	t.Parallel()
	facts := facts.New("linux", "amd64", facts.Features{
		Attributes: map[string]map[string]string{"s.a": {"n": "5", "v": "5.14.0-427.el9", "t": "true", "f": "false"}},
		Unknown:    map[string]string{"s.a/u": "why", "s.u": "why"},
	})
	tests := []struct {
		element, expression string
		present, absent     selector.Outcome
	}{
		{"n", `{op: In, value: ["4", "5"]}`, fits, unfit},
		{"n", `{op: In, value: ["4"]}`, unfit, unfit},
		{"n", `{op: NotIn, value: ["4"]}`, fits, fits}, // NFD: no match when absent
		{"n", `{op: NotIn, value: ["4", "5"]}`, unfit, fits},
		{"v", `{op: InRegexp, value: ["^6", "el9$"]}`, fits, unfit},
		{"v", `{op: InRegexp, value: ["^14"]}`, unfit, unfit},
		{"n", `{op: Exists}`, fits, unfit},
		{"n", `{op: DoesNotExist}`, unfit, fits},
		{"n", `{op: Gt, value: ["4"]}`, fits, unfit},
		{"n", `{op: Gt, value: ["5"]}`, unfit, unfit},
		{"n", `{op: Ge, value: ["5"]}`, fits, unfit},
		{"n", `{op: Ge, value: ["6"]}`, unfit, unfit},
		{"n", `{op: Lt, value: ["6"]}`, fits, unfit},
		{"n", `{op: Lt, value: ["5"]}`, unfit, unfit},
		{"n", `{op: Le, value: ["5"]}`, fits, unfit},
		{"n", `{op: Le, value: ["4"]}`, unfit, unfit},
		{"n", `{op: GtLt, value: ["4", "6"]}`, fits, unfit},
		{"n", `{op: GtLt, value: ["5", "6"]}`, unfit, unfit},
		{"n", `{op: GtLt, value: ["4", "5"]}`, unfit, unfit},
		{"n", `{op: GeLe, value: ["5", "6"]}`, fits, unfit},
		{"n", `{op: GeLe, value: ["4", "5"]}`, fits, unfit},
		{"n", `{op: GeLe, value: ["6", "7"]}`, unfit, unfit},
		{"n", `{op: GeLe, value: ["-7", "4"]}`, unfit, unfit},
		{"n", `{op: Gt, value: ["-1"]}`, fits, unfit},
		{"t", `{op: IsTrue}`, fits, unfit},
		{"f", `{op: IsTrue}`, unfit, unfit},
		{"f", `{op: IsFalse}`, fits, fits}, // NFD: no match when absent
		{"t", `{op: IsFalse}`, unfit, fits},
		{"n", `{op: ""}`, fits, fits},
		{"n", `{}`, fits, fits},
		{"v", `{op: Gt, type: version, value: ["5.13"]}`, fits, unfit},
		{"v", `{op: Gt, type: version, value: ["5.14"]}`, unfit, unfit},
		{"v", `{op: Ge, type: version, value: ["5.14.0"]}`, fits, unfit},
		{"v", `{op: Ge, type: version, value: ["6"]}`, unfit, unfit},
		{"v", `{op: Lt, type: version, value: ["5.14.1"]}`, fits, unfit},
		{"v", `{op: Lt, type: version, value: ["5.9"]}`, unfit, unfit},
		{"v", `{op: Le, type: version, value: ["5.14"]}`, fits, unfit},
		{"v", `{op: Le, type: version, value: ["5"]}`, unfit, unfit},
		{"v", `{op: GtLt, type: version, value: ["5.9", "5.20"]}`, fits, unfit},
		{"v", `{op: GtLt, type: version, value: ["5.14", "5.20"]}`, unfit, unfit},
		{"v", `{op: GeLe, type: version, value: ["5.14", "6"]}`, fits, unfit},
		{"n", `5`, fits, unfit},
		{"n", `["4", "5"]`, fits, unfit},
		{"t", `true`, fits, unfit},
		{"n", `null`, fits, unfit},
	}
	for _, tt := range tests {
		for where, c := range map[string]struct {
			set, element string
			want         selector.Outcome
		}{
			"present": {"s.a", tt.element, tt.present}, "absent": {"s.a", "none", tt.absent},
			"unknown": {"s.a", "u", unknown}, "unknown set": {"s.u", "n", unknown}, "no collector": {"s.x", "n", unknown},
		} {
			t.Run(tt.expression+" "+where, func(t *testing.T) {
				t.Parallel()
				reqs := parseNFD(t, oneSet(feature(c.set, "matchExpressions: {"+c.element+": "+tt.expression+"}")))
				if v := selector.Evaluate(facts, reqs); v.Outcome != c.want {
					t.Errorf("got %s, want %s (%s)", v.Outcome, c.want, v.Reason())
				}
			})
		}
	}
}
