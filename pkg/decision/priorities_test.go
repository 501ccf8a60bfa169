package decision

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/facts"
)

// prioritized stores an index whose author states priorities.
func prioritized(r *fakeregistry.Registry, priorities string, entries ...ocispec.Descriptor) {
	r.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{
		MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
		Annotations: map[string]string{dialect.AnnotationPriorities: priorities},
	}, "1")
}

func TestTheAuthorsPrioritiesComeBeforeTheLevel(t *testing.T) {
	t.Parallel()
	const v3, avx2Flag, mkl = "x86_64 :: level :: v3", "nfd :: cpu-cpuid.AVX2 :: true", "blas :: provider :: mkl"
	tests := []struct {
		name, priorities, choice string
		properties               []string // of the choice
		problem                  string
	}{
		{"none", "", "v3", nil, ""},
		{"the flag first", avx2Flag + "," + v3, "flag", []string{avx2Flag}, ""},
		{"the level first", v3 + "\n" + avx2Flag, "v3", []string{v3}, ""},
		{"the level of a target", "io.archspec :: target :: x86_64_v3," + v3, "target", []string{"io.archspec :: target :: x86_64_v3", v3}, ""},
		{"stated by the entry", mkl, "plain", []string{mkl}, ""},
		{"a preferred one that the node lacks", "nfd :: cpu-cpuid.AVX512F :: true," + avx2Flag, "flag", []string{avx2Flag}, ""},
		{"none that a variant has", "x86_64 :: level :: v4", "v3", nil, ""},
		{"one that no spec knows", "x :: y :: z," + mkl, "plain", []string{mkl}, ""},
		{"the null variant", "null," + v3, "null", []string{"null"}, ""},
		{"the null variant behind", avx2Flag + ",null", "flag", []string{avx2Flag}, ""},
		{"not a list", "x86_64", "v3", nil, `"x86_64" is neither`},
	}
	node := facts.New("linux", "amd64", facts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX2"}, "cpu.archspec": {"x86_64", "x86_64_v2", "x86_64_v3"}},
		Attributes: map[string]map[string]string{"cpu.x86_64": {"level": "3"}},
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			plain, flag, null := r.Image("linux/amd64", "plain"), r.Image("linux/amd64", "flag"), r.Image("linux/amd64", "null")
			level, target, newer := r.Image("linux/amd64/v3", "level"), r.Image("linux/amd64", "target"), r.Image("linux/amd64", "newer")
			plain.Annotations = map[string]string{dialect.AnnotationProperties: mkl}
			r.Attach(flag, fakeregistry.Artifact{Attributes: avx2})
			r.Attach(newer, fakeregistry.Artifact{Attributes: `"cpu-cpuid.AVX512F": true`})
			r.Attach(target, fakeregistry.Artifact{Body: `{"compatibilities": {"io.archspec": {"target": "x86_64_v3"}}}`})
			prioritized(r, test.priorities, level, plain, flag, null, target, newer)
			d := decide(t, newTestResolver(t, r, node), app)
			want := map[string]ocispec.Descriptor{"plain": plain, "flag": flag, "null": null, "v3": level, "target": target}[test.choice]
			if d.Choice == None || d.Candidates[d.Choice].Digest != want.Digest {
				t.Fatalf("chose %s, want %s: %s", chosen(d), test.choice, d.Reason)
			}
			if got := d.Candidates[d.Choice].Properties; !slices.Equal(got, test.properties) {
				t.Errorf("the choice has %q, want %q", got, test.properties)
			}
			if p := d.Priorities; (p == nil) != (test.priorities == "") || p != nil && !strings.Contains(p.Problem, test.problem) {
				t.Errorf("priorities %+v", p)
			}
		})
	}
}

// A priority does not make a variant of which something is unknown go before one that
// is known to fit, and what does not fit stays out.
func TestPrioritiesDoNotReplaceWhatIsKnown(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	unknown, unfit, fit := r.Image("linux/amd64", "unknown"), r.Image("linux/amd64", "unfit"), r.Image("linux/amd64", "fit")
	stated := map[string]string{dialect.AnnotationProperties: "a :: b :: c"}
	unknown.Annotations, unfit.Annotations = stated, stated
	r.Attach(unknown, fakeregistry.Artifact{Attributes: `"no-such.key": true`})
	r.Attach(unfit, fakeregistry.Artifact{Attributes: `"cpu-cpuid.AVX512F": true`})
	prioritized(r, "a :: b :: c", unknown, unfit, fit)
	d := decide(t, newTestResolver(t, r, testkit.Node(3)), app)
	if got := []int{d.Candidates[0].Rank, d.Candidates[1].Rank, d.Candidates[2].Rank}; !slices.Equal(got, []int{2, 0, 1}) {
		t.Errorf("ranks %v: %s", got, d.Reason)
	}
}
