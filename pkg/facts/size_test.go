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

func TestDifferingSetsAreThoseWhereAnythingDiffers(t *testing.T) {
	t.Parallel()
	base := func() facts.Features {
		return facts.Features{
			Flags:      map[string][]string{"cpu.cpuid": {"AVX", "AVX2"}, "empty.set": {}},
			Attributes: map[string]map[string]string{"cpu.model": {"vendor_id": "Intel"}},
			Instances:  map[string][]map[string]string{"network.device": {{"name": "eth0", "operstate": "up"}}},
			Unknown:    map[string]string{"kernel.config": "denied", "cpu.model/family": "denied"},
		}
	}
	for name, test := range map[string]struct {
		change func(f *facts.Features)
		want   string
	}{
		"nothing":                     {func(*facts.Features) {}, ""},
		"a flag":                      {func(f *facts.Features) { f.Flags["cpu.cpuid"] = []string{"AVX"} }, "cpu.cpuid"},
		"a set goes":                  {func(f *facts.Features) { delete(f.Flags, "empty.set") }, "empty.set"},
		"a set comes":                 {func(f *facts.Features) { f.Flags["other.set"] = nil }, "other.set"},
		"a value":                     {func(f *facts.Features) { f.Attributes["cpu.model"]["vendor_id"] = "AMD" }, "cpu.model"},
		"a value that comes and goes": {func(f *facts.Features) { f.Instances["network.device"][0]["operstate"] = "down" }, "network.device"},
		"the cause of a set":          {func(f *facts.Features) { f.Unknown["kernel.config"] = "absent" }, "kernel.config"},
		"an unknown element":          {func(f *facts.Features) { delete(f.Unknown, "cpu.model/family") }, "cpu.model"},
	} {
		changed := base()
		test.change(&changed)
		a, b := facts.New("linux", "amd64", base()), facts.New("linux", "amd64", changed)
		for _, got := range []map[string]bool{a.DifferingSets(b), b.DifferingSets(a)} {
			if len(got) != min(1, len(test.want)) || test.want != "" && !got[test.want] {
				t.Errorf("%s: %v, want %s", name, got, test.want)
			}
		}
	}
}
