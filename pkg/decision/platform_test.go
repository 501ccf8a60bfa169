package decision

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// pushLevels stores an index with entries for several levels, another
// architecture and an attestation.
func pushLevels(r *fakeregistry.Registry) ocispec.Descriptor {
	attestation := r.Image("unknown/unknown", "attestation")
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	return r.Index("1", r.Image("linux/amd64", "base"), r.Image("linux/amd64/v3", "v3"),
		r.Image("linux/amd64/v4", "v4"), r.Image("linux/arm64", "arm"), attestation)
}

func TestTheHighestLevelThatTheNodeHasIsChosen(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	index := pushLevels(r)
	tests := []struct {
		level     int
		want      string
		asRuntime bool
		reason    string
	}{
		{1, "linux/amd64", true, "linux/amd64 of " + app + " is the best of 3 candidates: it fits"},
		{2, "linux/amd64", true, "linux/amd64 of " + app + " is the best of 3 candidates: it fits"},
		{3, "linux/amd64/v3", false, "linux/amd64/v3 of " + app + " is the best of 3 candidates: it fits"},
		{4, "linux/amd64/v4", false, "linux/amd64/v4 of " + app + " is the best of 3 candidates: it fits"},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			t.Parallel()
			d := decide(t, newTestResolver(t, r, testkit.Node(test.level)), app)
			if got := chosen(d); got != test.want {
				t.Errorf("level %d chose %s, want %s", test.level, got, test.want)
			}
			if len(d.Candidates) != 3 || d.Default != 0 || d.AsRuntime() != test.asRuntime || d.Refused() || d.NothingToChoose() {
				t.Errorf("level %d: %d candidates, default %d, as runtime %t", test.level, len(d.Candidates), d.Default, d.AsRuntime())
			}
			if d.Index != index.Digest || d.Reason != test.reason {
				t.Errorf("level %d: index %s, reason %q, want %q", test.level, d.Index, d.Reason, test.reason)
			}
			if got := d.Descriptor(d.Choice); got.Digest != d.Candidates[d.Choice].Digest || got.Size == 0 {
				t.Errorf("descriptor of the choice is %+v", got)
			}
		})
	}
}

func TestPlatformsDecideByOSAndArchitecture(t *testing.T) {
	t.Parallel()
	arm := facts.New("linux", "arm64", facts.Features{})
	tests := []struct {
		name      string
		platforms []string
		facts     *facts.Facts
		want      string
		def       int
	}{
		{"only another architecture", []string{"linux/arm64"}, testkit.Node(4), "none", None},
		{"another system", []string{"windows/amd64", "linux/amd64"}, testkit.Node(1), "linux/amd64", 0},
		{"only a level the runtime does not look for", []string{"linux/amd64/v3"}, testkit.Node(3), "linux/amd64/v3", None},
		{"only a level too high", []string{"linux/amd64/v4"}, testkit.Node(3), "none", None},
		{"32 bit comes last", []string{"linux/386", "linux/amd64"}, testkit.Node(1), "linux/amd64", 1},
		{"only 32 bit", []string{"linux/386"}, testkit.Node(1), "linux/386", 0},
		{"level 2 before the plain one", []string{"linux/amd64", "linux/amd64/v2"}, testkit.Node(2), "linux/amd64/v2", 0},
		{"v1 is the plain one", []string{"linux/amd64/v1"}, testkit.Node(1), "linux/amd64/v1", 0},
		{"another spelling is held to its level", []string{"linux/amd64", "linux/x86_64/V3"}, testkit.Node(2), "linux/amd64", 0},
		{"another spelling of a level that is there", []string{"linux/amd64", "linux/x86_64/V3"}, testkit.Node(3), "linux/x86_64/V3", 0},
		{"a level that does not exist", []string{"linux/amd64", "linux/amd64/v99"}, testkit.Node(4), "linux/amd64", 0},
		{"arm64", []string{"linux/amd64", "linux/arm64/v8"}, arm, "linux/arm64/v8", 0},
		{"an unknown architecture", []string{"linux/amd64"}, facts.New("linux", "", facts.Features{}), "none", None},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			var entries []ocispec.Descriptor
			for _, p := range test.platforms {
				entries = append(entries, r.Image(p, p))
			}
			r.Index("1", entries...)
			d := decide(t, newTestResolver(t, r, test.facts), app)
			if chosen(d) != test.want || d.Default != test.def {
				t.Errorf("chose %s, default %d, want %s and %d: %s", chosen(d), d.Default, test.want, test.def, d.Reason)
			}
		})
	}
}

func TestAnUnknownLevelRanksBehindAKnownOne(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	pushLevels(r)
	d := decide(t, newTestResolver(t, r, facts.New("linux", "amd64", facts.Features{})), app)
	if chosen(d) != "linux/amd64" || d.Candidates[1].Outcome != selector.Unknown || d.Candidates[1].Rank == 0 {
		t.Errorf("chose %s; v3 is %+v", chosen(d), d.Candidates[1])
	}
}

func TestOSFeaturesAreRequirements(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	special := r.Image("linux/amd64", "special")
	special.Platform.OSFeatures = []string{"erofs"}
	r.Index("1", special, r.Image("linux/amd64", "plain"))
	d := decide(t, newTestResolver(t, r, testkit.Node(1)), app)
	if d.Choice != 1 || d.Default != 1 || d.Candidates[0].Outcome != selector.Unknown {
		t.Errorf("choice %d, default %d, the special one %+v", d.Choice, d.Default, d.Candidates[0])
	}
}
