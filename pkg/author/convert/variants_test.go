package convert_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// variantsJSON is of the shape that PEP 825 gives to the list of a release.
const variantsJSON = `{
  "default-priorities": {"namespace": ["nvidia", "x86_64"]},
  "providers": {"x86_64": {"requires": ["provider-variant-x86-64 >=0.0.1"]}},
  "variants": {
    "null": {},
    "v3": {"x86_64": {"level": ["v3"], "avx512_vnni": ["on"]}},
    "levels": {"x86_64": {"level": ["v4", "v3", "v2"]}},
    "arm": {"aarch64": {"version": ["8.2a"], "sve": ["on"]}},
    "armbase": {"aarch64": {"version": ["8.4a", "8a"]}},
    "cu": {"nvidia": {"cuda_version_lower_bound": ["12.8", "12.10"], "cuda_version_upper_bound": ["13"], "sm_arch": ["70_real", "90_virtual"]}},
    "real": {"nvidia": {"sm_arch": ["75_real", "90_real"]}},
    "sm": {"nvidia": {"sm_arch": ["seventy"]}},
    "gfx": {"amd": {"gfx_arch": ["gfx942"]}},
    "mkl": {"blas_lapack": {"provider": ["mkl"]}, "x86_64": {"level": ["v3"]}},
    "bad": {"x86_64": {"level": "v3"}}
  }
}`

func TestVariantsOfPythonPackagesBecomeAttributes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ attributes, lost, err string }{
		"null":    {`{"compatibilities":{}}`, "", ""},
		"v3":      {`{"compatibilities":{"io.archspec":{"target":"x86_64_v3"},"io.kubernetes.nfd":{"cpu-cpuid.AVX512VNNI":true}}}`, "", ""},
		"levels":  {`{"compatibilities":{"io.archspec":{"target":"x86_64_v2"}}}`, "", ""},
		"arm":     {`{"compatibilities":{"io.archspec":{"target":"armv8.2a"},"io.kubernetes.nfd":{"cpu-cpuid.SVE":true}}}`, "", ""},
		"armbase": {`{"compatibilities":{"io.archspec":{"target":"aarch64"}}}`, "", ""},
		"cu":      {`{"compatibilities":{"org.supercontainers":{"hardware.gpu.cuda.version":12.8,"hardware.gpu.cuda.compute_capability":"[7.0,)"}}}`, "nvidia :: cuda_version_upper_bound :: 13: drivers run programs", ""},
		"real":    {`{"compatibilities":{"org.supercontainers":{"hardware.gpu.cuda.compute_capability":"[7.5,10.0)"}}}`, "", ""},
		"sm":      {`{"compatibilities":{}}`, "nvidia :: sm_arch :: seventy: no compatibility spec", ""},
		"gfx":     {`{"compatibilities":{"org.supercontainers":{"hardware.gpu.gfx.gfx942":true}}}`, "", ""},
		"mkl":     {`{"compatibilities":{"io.archspec":{"target":"x86_64_v3"}}}`, "blas_lapack :: provider :: mkl: no compatibility spec", ""},
		"bad":     {"", "", "the values of a feature"},
		"":        {"", "", "pick one of the variants: null, v3, levels"},
		"other":   {"", "", "pick one of the variants"},
	}
	for label, tt := range tests {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			w, err := convert.Variant(testkit.Specs(t), []byte(variantsJSON), label, dialect.ProposalF)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(string(w.Body)), ""); got != tt.attributes {
				t.Errorf("got %s, want %s", got, tt.attributes)
			}
			if lost := strings.Join(w.Lost, "; "); !strings.Contains(lost, tt.lost) || (lost == "") != (tt.lost == "") {
				t.Errorf("lost %q, want %q", lost, tt.lost)
			}
		})
	}
}

func TestTheOneVariantOfAWheelNeedsNoLabel(t *testing.T) {
	t.Parallel()
	w, err := convert.Body(testkit.Specs(t), []byte(`{"variants": {"x": {"x86_64": {"level": ["v3"]}}}}`), dialect.NFD)
	if err != nil || !strings.Contains(string(w.Body), "X86_64_V3") {
		t.Errorf("%v: %+v", err, w)
	}
	if _, err := convert.Variant(testkit.Specs(t), []byte(`{"compatibilities": {}}`), "x", dialect.NFD); err == nil || !strings.Contains(err.Error(), "PEP 825") {
		t.Errorf("no variants: %v", err)
	}
}
