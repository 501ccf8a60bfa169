package hostfacts_test

import (
	"slices"
	"testing"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

func TestNames(t *testing.T) {
	t.Parallel()
	facts := hostfacts.New("linux", "amd64", hostfacts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX", "AVX2"}, "kernel.loadedmodule": {}},
		Attributes: map[string]map[string]string{"cpu.cpuid": {"AVX10_VERSION": "2"}, "cpu.model": {"id": "1"}, "half": {"seen": "1"}},
		Instances:  map[string][]map[string]string{"pci.device": {{"vendor": "10de", "class": "0300"}, {"vendor": "8086"}}},
		Unknown:    map[string]string{"cpu.model/hypervisor": "why", "cpu.model/id": "seen all the same", "dark": "no", "half": "cut off"},
	})
	tests := []struct {
		set   string
		want  []string
		state hostfacts.State
	}{
		{"cpu.cpuid", []string{"AVX present", "AVX10_VERSION present", "AVX2 present"}, hostfacts.Present},
		{"cpu.model", []string{"hypervisor unknown", "id present"}, hostfacts.Present},
		{"pci.device", []string{"class present", "vendor present", "vendor present"}, hostfacts.Present},
		{"kernel.loadedmodule", nil, hostfacts.Present},
		{"dark", nil, hostfacts.Unknown},
		{"half", []string{"seen present"}, hostfacts.Unknown},
		{"gpu", nil, hostfacts.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.set, func(t *testing.T) {
			t.Parallel()
			names, whole := facts.Names(tt.set)
			var got []string
			for name, fact := range names {
				got = append(got, name+" "+fact.State.String())
			}
			if slices.Sort(got); !slices.Equal(got, tt.want) || whole.State != tt.state {
				t.Errorf("got %v, %s; want %v, %s", got, whole.State, tt.want, tt.state)
			}
			if (whole.Cause == "") != (tt.state == hostfacts.Present) {
				t.Errorf("cause is %q", whole.Cause)
			}
			for range names { // whoever stops early may
				break
			}
		})
	}
}
