package facts_test

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestSizeCountsWhatThereIsToLookAt(t *testing.T) {
	t.Parallel()
	f := facts.New("linux", "amd64", facts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX", "AVX2"}},
		Attributes: map[string]map[string]string{"cpu.model": {"vendor_id": "Intel"}},
		Instances:  map[string][]map[string]string{"pci.device": {{"class": "0200", "vendor": "8086"}, {"class": "03"}}},
		Unknown:    map[string]string{"cpu.model/family": "denied", "kernel.config": "denied"},
	})
	for set, want := range map[string]facts.Size{
		"cpu.cpuid":     {Names: 2, NameBytes: 7},
		"cpu.model":     {Names: 2, NameBytes: 15},
		"pci.device":    {Names: 3, NameBytes: 16, Instances: 2, Bytes: 10},
		"kernel.config": {},
		"no.set":        {},
	} {
		if got := f.Size(set); got != want {
			t.Errorf("%s: %+v, want %+v", set, got, want)
		}
	}
}
