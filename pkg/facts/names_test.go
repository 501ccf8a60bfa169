package facts_test

import (
	"slices"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestNamesAreThoseKnownOrUnknown(t *testing.T) {
	t.Parallel()
	known := facts.New("linux", "amd64", facts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX", "AVX2"}, "kernel.loadedmodule": {}},
		Attributes: map[string]map[string]string{"cpu.cpuid": {"AVX10_VERSION": "2"}, "cpu.model": {"id": "1"}, "half": {"seen": "1"}},
		Instances:  map[string][]map[string]string{"pci.device": {{"vendor": "10de", "class": "0300"}, {"vendor": "8086"}}},
		Unknown:    map[string]string{"cpu.model/hypervisor": "why", "cpu.model/id": "seen all the same", "dark": "no", "half": "cut off"},
	})
	tests := []struct {
		set   string
		want  []string
		state facts.State
	}{
		{"cpu.cpuid", []string{"AVX present", "AVX10_VERSION present", "AVX2 present"}, facts.Present},
		{"cpu.model", []string{"hypervisor unknown", "id present"}, facts.Present},
		{"pci.device", []string{"class present", "vendor present", "vendor present"}, facts.Present},
		{"kernel.loadedmodule", nil, facts.Present},
		{"dark", nil, facts.Unknown},
		{"half", []string{"seen present"}, facts.Unknown},
		{"gpu", nil, facts.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.set, func(t *testing.T) {
			t.Parallel()
			names, whole := known.Names(tt.set)
			var got []string
			for name, fact := range names {
				got = append(got, name+" "+fact.State.String())
			}
			if slices.Sort(got); !slices.Equal(got, tt.want) || whole.State != tt.state {
				t.Errorf("got %v, %s; want %v, %s", got, whole.State, tt.want, tt.state)
			}
			if (whole.Cause == "") != (tt.state == facts.Present) {
				t.Errorf("cause is %q", whole.Cause)
			}
			for range names { // whoever stops early may
				break
			}
		})
	}
}
