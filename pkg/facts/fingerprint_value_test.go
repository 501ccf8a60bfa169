package facts_test

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestFingerprintIsOfContentAlone(t *testing.T) {
	t.Parallel()
	base := facts.New("linux", "amd64", sample())
	tests := []struct {
		name   string
		change func(*facts.Features)
		same   bool
	}{
		{"nothing", func(*facts.Features) {}, true},
		{"operstate", func(f *facts.Features) { f.Instances["network.device"][0]["operstate"] = "down" }, true},
		{"virtual interfaces", func(f *facts.Features) { f.Instances["network.virtual"] = nil }, true},
		{"wording of a cause", func(f *facts.Features) { f.Unknown["kernel.config"] = "other" }, true},
		{"mtu", func(f *facts.Features) { f.Instances["network.device"][0]["mtu"] = "9000" }, false},
		{"flag", func(f *facts.Features) { f.Flags["cpu.cpuid"] = []string{"SSE2"} }, false},
		{"attribute", func(f *facts.Features) { f.Attributes["kernel.version"]["major"] = "5" }, false},
		{"empty set to no set", func(f *facts.Features) { delete(f.Attributes, "cpu.pstate") }, false},
		{"unknown set", func(f *facts.Features) { f.Unknown["cpu.topology"] = "no" }, false},
		{"known element", func(f *facts.Features) { delete(f.Unknown, "cpu.model/hypervisor") }, false},
	}
	for _, tt := range tests {
		features := sample()
		tt.change(&features)
		changed := facts.New("linux", "amd64", features)
		if same := changed.Fingerprint() == base.Fingerprint(); same != tt.same {
			t.Errorf("%s: same fingerprint %v, want %v", tt.name, same, tt.same)
		}
		if sets := changed.ChangedSets(base); (len(sets) == 0) != tt.same {
			t.Errorf("%s: changed sets %v", tt.name, sets)
		}
	}
	if facts.New("linux", "arm64", sample()).Fingerprint() == base.Fingerprint() {
		t.Error("the architecture makes no difference")
	}
	// A known value: it must not change between processes and releases.
	const want = "sha256:a398a869926137b646087e15679fa797d4a0b27116672847c57a6a797c3199e3"
	if got := base.Fingerprint(); got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
}
