package dialect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

func TestPropertiesAreReadAsPEP825WritesThem(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want, err string }{
		"one":        {"x86_64 :: level :: v3", "x86_64 :: level :: v3", ""},
		"by commas":  {"nvidia :: cuda_version_lower_bound :: 12.8, x86_64::level::v3 ,null", "nvidia :: cuda_version_lower_bound :: 12.8|x86_64 :: level :: v3|null", ""},
		"by lines":   {"\n a :: b :: c\n\nnull\n", "a :: b :: c|null", ""},
		"a value":    {"oci :: oci.kernel.versions :: >=5.8", "oci :: oci.kernel.versions :: >=5.8", ""},
		"empty":      {" ", "", ""},
		"two parts":  {"x86_64 :: level", "", `"x86_64 :: level" is neither namespace :: feature :: value nor null`},
		"no value":   {"x86_64 :: level :: ", "", "is neither"},
		"twice":      {"a::b::c,a :: b :: c", "", `"a :: b :: c" occurs twice`},
		"too many":   {func() string { return manyProperties(65) }(), "", "more than 64 properties"},
		"as many":    {manyProperties(2), "a :: b :: 0|a :: b :: 1", ""},
		"too long":   {strings.Repeat(" ", 16<<10+1), "", "16385 bytes, more than the 16384"},
		"other text": {"{}", "", "is neither"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, err := dialect.ParseProperties(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			texts := make([]string, len(all))
			for i, p := range all {
				texts[i] = p.String()
			}
			if got := strings.Join(texts, "|"); err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func manyProperties(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("a::b::%d", i)
	}
	return strings.Join(all, ",")
}

// The properties of PEP 825's providers mean facts of the node.
func TestPropertiesAreAttributes(t *testing.T) {
	t.Parallel()
	in := testkit.Interpreter(t)
	tests := map[string]struct{ group, value, want string }{
		"x86_64 :: level :: v3":                      {"io.archspec", "x86_64_v3", "cpu.archspec x86_64_v3"},
		"x86_64 :: level :: v1":                      {"io.archspec", "x86_64", "cpu.archspec x86_64"},
		"x86_64 :: avx512_vnni :: on":                {"io.kubernetes.nfd", "true", "cpu.cpuid AVX512VNNI"},
		"x86_64 :: sse4_1 :: on":                     {"io.kubernetes.nfd", "true", "cpu.cpuid SSE4"},
		"x86_64 :: no_such :: on":                    {"x86_64", "on", ""},
		"aarch64 :: version :: 8.2a":                 {"io.archspec", "armv8.2a", "cpu.archspec armv8.2a"},
		"aarch64 :: version :: 8a":                   {"io.archspec", "aarch64", "cpu.archspec aarch64"},
		"aarch64 :: version :: 9a":                   {"io.archspec", "armv9.0a", "cpu.archspec armv9.0a"},
		"aarch64 :: sve :: on":                       {"io.kubernetes.nfd", "true", "cpu.cpuid SVE"},
		"nvidia :: cuda_version_lower_bound :: 12.8": {"org.supercontainers", "12.8", "gpu.device vendor and gpu.nvidia cuda_version >= 12.8"},
		"nvidia :: sm_arch :: 90_real":               {"org.supercontainers", "[9.0,10.0)", "gpu.device vendor and gpu.device vendor=nvidia and compute_capability >= 9.0 and compute_capability < 10.0"},
		"nvidia :: sm_arch :: 80_virtual":            {"org.supercontainers", "[8.0,)", "gpu.device vendor and gpu.device vendor=nvidia and compute_capability >= 8.0"},
		"nvidia :: sm_arch :: 90":                    {"nvidia", "90", ""},
		"amd :: gfx_arch :: gfx942":                  {"org.supercontainers", "true", "gpu.device vendor and gpu.gfx gfx942"},
		"nfd :: cpu-cpuid.AVX2 :: true":              {"nfd", "true", "cpu.cpuid AVX2"},
		"oci :: oci.kernel.versions :: >=5.8":        {"oci", ">=5.8", "kernel.version >= 5.8"},
		"blas_lapack :: provider :: mkl":             {"blas_lapack", "mkl", ""},
	}
	for text, tt := range tests {
		p, err := dialect.ParseProperty(text)
		if err != nil {
			t.Fatal(err)
		}
		a := p.Attribute()
		reqs := in.Requirements([]compat.Attribute{a})
		want := ""
		if i := slices.IndexFunc(reqs, func(r compat.Requirement) bool { return r.Unclear == "" }); i >= 0 {
			want = reqs[i].Want()
		}
		if a.Group != tt.group || a.Value != tt.value || want != tt.want {
			t.Errorf("%s is %s = %s, asks for %q, want %q", text, a.Name(), a.Value, want, tt.want)
		}
	}
}
