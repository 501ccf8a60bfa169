package facts_test

import (
	"maps"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func sample() facts.Features {
	return facts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX2", "SSE2"}, "kernel.loadedmodule": {}},
		Attributes: map[string]map[string]string{"kernel.version": {"major": "6"}, "cpu.pstate": {}},
		Instances: map[string][]map[string]string{
			"network.device":  {{"name": "eth0", "operstate": "up", "mtu": "1500"}},
			"network.virtual": {{"name": "veth1"}},
			"memory.nv":       {},
		},
		Unknown: map[string]string{"kernel.config": "permission denied reading /proc/config.gz", "cpu.model/hypervisor": "no"},
	}
}

func TestFactsShareNothingWithTheirFeatures(t *testing.T) {
	t.Parallel()
	features := sample()
	known := facts.New("linux", "amd64", features)
	features.Attributes["kernel.version"]["major"] = "1"
	maps.Copy(known.Unknown(), map[string]string{"cpu.cpuid": "no"})
	known.Features().Attributes["kernel.version"]["major"] = "2"
	if got := known.Lookup("kernel.version", "major").Value; got != "6" {
		t.Errorf("major %s", got)
	}
	if got := known.Lookup("cpu.cpuid", "X").State; got != facts.Absent {
		t.Errorf("cpu.cpuid X is %v", got)
	}
}

func TestInstancesArePresentOrUnknown(t *testing.T) {
	t.Parallel()
	features := sample()
	features.Unknown["network.virtual"] = "cause"
	known := facts.New("linux", "amd64", features)
	for set, want := range map[string]struct {
		n     int
		state facts.State
	}{"network.device": {1, facts.Present}, "memory.nv": {0, facts.Present}, "network.virtual": {0, facts.Unknown}, "site.fabric": {0, facts.Unknown}} {
		list, fact := known.Instances(set)
		if len(list) != want.n || fact.State != want.state || (fact.Cause != "") != (want.state == facts.Unknown) {
			t.Errorf("%s: %v, %+v", set, list, fact)
		}
	}
}
