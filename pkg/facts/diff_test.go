package facts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestDiffNamesEachChangeOnce(t *testing.T) {
	t.Parallel()
	before := facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{"cpu.cpuid": {"AVX", "AVX2", "SSE"}, "kernel.loadedmodule": {"xfs"}},
		Attributes: map[string]map[string]string{
			"kernel.version": {"major": "6", "full": "6.1.0"}, "kernel.config": {"A": "y", "B": "m"}, "cpu.x86_64": {"level": "3"},
		},
		Instances: map[string][]map[string]string{
			"network.device": {{"name": "eth0", "mtu": "1500"}, {"name": "eth1", "mtu": "9000"}},
			"pci.device":     {{"class": "0300", "vendor": "10de"}, {"class": "0200", "vendor": "15b3"}, {"class": "0200", "vendor": "15b3"}},
		},
		Unknown: map[string]string{"cpu.x86_64/turbo": "one cause", "memory.swap": "one cause", "kernel.enabledmodule": "c"},
	})
	features := before.Features()
	features.Flags["cpu.cpuid"] = []string{"AVX", "SSE", "AVX512F"}
	features.Attributes["kernel.version"] = map[string]string{"major": "6", "full": "6.8.0"}
	delete(features.Attributes, "kernel.config")
	features.Unknown = map[string]string{
		"cpu.x86_64/turbo": "another cause", "kernel.config": "permission denied", "cpu.x86_64/level": "no",
		"kernel.loadedmodule": "half", "kernel.enabledmodule": "c",
	}
	features.Attributes["memory.swap"] = map[string]string{"enabled": "true"}
	features.Instances["network.device"] = []map[string]string{{"name": "eth2"}, {"name": "eth0", "mtu": "9000", "speed": "10"}}
	features.Instances["pci.device"] = []map[string]string{{"class": "0200", "vendor": "15b3"}, {"class": "0300", "vendor": "1002"}}
	delete(features.Attributes["cpu.x86_64"], "level")
	after := facts.New("linux", "arm64", features)
	want := []string{
		"- cpu.cpuid AVX2", "+ cpu.cpuid AVX512F",
		"~ cpu.x86_64 level: 3 -> unknown",
		"~ kernel.config: 2 known -> unknown",
		"~ kernel.loadedmodule: all known -> the rest unknown",
		"~ kernel.version full: 6.1.0 -> 6.8.0",
		"~ memory.swap: unknown -> 1 known",
		"~ network.device eth0/mtu: 1500 -> 9000", "+ network.device eth0/speed: 10",
		"- network.device eth1: mtu=9000", "+ network.device eth2",
		"+ pci.device: class=0300 vendor=1002", "- pci.device: class=0200 vendor=15b3", "- pci.device: class=0300 vendor=10de",
		"~ platform arch: amd64 -> arm64",
	}
	var got []string
	for _, change := range facts.Diff(before, after) {
		got = append(got, change.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if back := facts.Diff(after, before); len(back) != len(want) {
		t.Errorf("%d changes one way and %d the other", len(want), len(back))
	}
}
