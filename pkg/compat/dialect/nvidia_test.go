package dialect_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// TestNVIDIARequirementsAreAlternatives: the node has driver 535.104.05, CUDA 12.2 and compute
// capability 8.0.
func TestNVIDIARequirementsAreAlternatives(t *testing.T) {
	t.Parallel()
	const fits, unfit, unknown = selector.Fits, selector.Unfit, selector.Unknown
	tests := []struct {
		name, cuda string
		want       selector.Outcome
	}{
		{"as CUDA 12.0 images have it", "cuda>=12.0 brand=tesla,driver>=450,driver<451 brand=tesla,driver>=470,driver<471", fits},
		{"too new, no alternative in the driver's reach", "cuda>=12.8 brand=tesla,driver>=450,driver<451", unfit},
		{"another brand", "cuda>=12.8 brand=tesla,driver>=535,driver<536", unfit},
		{"another driver", "cuda>=12.8 brand=nvidia,driver>=550,driver<551", unfit},
		{"no brand but one", "brand!=geforce", fits},
		{"brand that is compared", "cuda>=12.8 brand>tesla", unknown},
		{"property that is not known", "cuda>=12.8 memory>=4", unknown},
		{"all of one alternative", "cuda>=12.0,driver<500", unfit},
		{"equal", "cuda=12.2", fits},
		{"equal, not", "cuda=12", unfit},
		{"not equal", "cuda!=12.2", unfit},
		{"not equal, holds", "cuda!=12.1", fits},
		{"less", "driver<535.104.05", unfit},
		{"at most", "driver<=535.104.05", fits},
		{"greater", "arch>7.5", fits},
		{"arch", "arch>=9.0", unfit},
		{"no condition", "cuda", unknown},
		{"no version", "cuda>=new", unknown},
		{"odd sign", "cuda=>12", unknown},
		{"nothing behind a comma", "cuda>=12.0,", unknown},
		{"empty", " ", fits},
		{"huge", strings.Repeat("cuda>=1 ", 10_000), unknown},
		{"very many", strings.Repeat("a ", 1001), unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := selector.Evaluate(compattest.HPC(), dialect.NVIDIARequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": tt.cuda}))
			if v.Outcome != tt.want {
				t.Errorf("%s, want %s: %s", v.Outcome, tt.want, v.Reason())
			}
		})
	}
	if v := selector.Evaluate(compattest.ARM(), dialect.NVIDIARequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": "cuda>=12"})); v.Outcome != unknown {
		t.Errorf("where nobody looked: %s", v.Outcome)
	}
}

// TestNVIDIARequirementsAreEvaluatedOnEachGPU: which of them a container gets is not known.
func TestNVIDIARequirementsAreEvaluatedOnEachGPU(t *testing.T) {
	t.Parallel()
	const fits, unfit, unknown = selector.Fits, selector.Unfit, selector.Unknown
	tests := []struct {
		name, gpus, require string
		want                selector.Outcome
		reason              string
	}{
		{"an alternative for each", "tesla 7.5, geforcertx 8.6", "brand=tesla,driver>=535 brand=geforcertx,driver>=535", fits, ""},
		{"for one of them", "tesla 7.5, geforcertx 8.6", "brand=tesla,driver>=535", unknown, "it holds on some GPUs of the node (tesla 7.5) and not on others (geforcertx 8.6)"},
		{"for none", "tesla 7.5, geforcertx 8.6", "brand=quadro,driver>=535", unfit, "brand"},
		{"the driver is the same for all", "tesla 7.5, geforcertx 8.6", "cuda>=12.0", fits, ""},
		{"capability of all", "tesla 7.5, tesla 8.0", "arch>=7.0", fits, ""},
		{"capability of one", "tesla 7.5, tesla 9.0", "arch>=8.0", unknown, "tesla 9.0"},
		{"two of a kind", "tesla 7.5, tesla 7.5", "brand=geforce", unfit, "brand"},
		{"a brand that is not known", "tesla 7.5, ? 8.6", "brand=tesla", unknown, "not known"},
		{"all brands but one not known", "? 7.5, ? 8.6", "brand=tesla", unknown, "not reported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			features := facts.NewFeatures()
			features.Attributes["gpu.nvidia"] = map[string]string{"count": "2", "driver_version": "535.104.05", "cuda_version": "12.2", "compute_capability": "7.5"}
			features.Unknown["gpu.nvidia/brand"] = "the GPUs are of several brands"
			features.Instances["gpu.device"] = []map[string]string{{"vendor": "intel"}}
			for gpu := range strings.SplitSeq(tt.gpus, ", ") {
				brand, capability, _ := strings.Cut(gpu, " ")
				device := map[string]string{"vendor": "nvidia", "compute_capability": capability}
				if brand != "?" {
					device["brand"] = brand
				}
				features.Instances["gpu.device"] = append(features.Instances["gpu.device"], device)
			}
			if strings.HasPrefix(tt.gpus, "tesla 7.5, tesla 7.5") {
				delete(features.Unknown, "gpu.nvidia/brand")
				features.Attributes["gpu.nvidia"]["brand"] = "tesla"
			}
			features.Unknown["gpu.device/brand"] = "the brand is not reported"
			v := selector.Evaluate(facts.New("linux", "amd64", features), dialect.NVIDIARequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": tt.require}))
			if v.Outcome != tt.want || !strings.Contains(v.Reason(), tt.reason) {
				t.Errorf("%s: %s, want %s: %s", v.Outcome, v.Reason(), tt.want, tt.reason)
			}
		})
	}
}

func TestNVIDIAVariablesAllHold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  string
		want string
	}{
		{"none", "PATH=/bin", ""},
		{"several all hold", "NVIDIA_REQUIRE_CUDA=cuda>=12.0 NVIDIA_REQUIRE_DRIVER=driver>=525", "gpu.nvidia cuda_version >= 12.0 | required; gpu.nvidia driver_version >= 525 | required"},
		{"disabled", "NVIDIA_REQUIRE_CUDA=cuda>=12.0 NVIDIA_DISABLE_REQUIRE=true", ""},
		{"not disabled", "NVIDIA_REQUIRE_CUDA=cuda>=12.0 NVIDIA_DISABLE_REQUIRE=false", "gpu.nvidia cuda_version >= 12.0 | required"},
		{"Jetpack", "NVIDIA_REQUIRE_JETPACK=jetpack>=5", ""},
		{"of before the variables", "CUDA_VERSION=10.2.89", "gpu.nvidia cuda_version >= 10.2 | required"},
		{"the variable goes before", "CUDA_VERSION=12.2 NVIDIA_REQUIRE_CUDA=cuda>=12.0", "gpu.nvidia cuda_version >= 12.0 | required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{}
			for word := range strings.FieldsSeq(tt.env) {
				key, value, _ := strings.Cut(word, "=")
				env[key] = value
			}
			if got := compattest.DescribeAll(dialect.NVIDIARequirements(env)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestNVIDIAReasonIsOneSentence: strings of nvidia/cuda images on nodes as people have
// reported them.
func TestNVIDIAReasonIsOneSentence(t *testing.T) {
	t.Parallel()
	const (
		cuda128 = "cuda>=12.8 brand=unknown,driver>=470,driver<471 brand=grid,driver>=470,driver<471 brand=tesla,driver>=470,driver<471 " +
			"brand=nvidia,driver>=470,driver<471 brand=tesla,driver>=535,driver<536 brand=nvidia,driver>=535,driver<536"
		cuda124 = "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=geforce,driver>=535,driver<536 brand=nvidia,driver>=535,driver<536"
	)
	tests := []struct{ name, brand, driver, cuda, require, want string }{
		{"GTX 1050 Ti, 12.8", "geforce", "535.113.01", "12.2", cuda128, "needs a newer driver: driver 535.113.01 is too old for CUDA 12.8 (needs >= 570.26)"},
		{"GTX 1050 Ti, 12.4", "geforce", "535.113.01", "12.2", cuda124, ""},
		{"H100, 12.8", "nvidia", "535.113.01", "12.2", cuda128, ""},
		{"H100 of another branch", "nvidia", "545.23.08", "12.3", cuda128, "needs a newer driver: driver 545.23.08 is too old for CUDA 12.8 (needs >= 570.26)"},
		{"several brands", "?the GPUs are of several brands: geforce, tesla", "535.113.01", "12.2", cuda128,
			"needs a newer driver: driver 535.113.01 is older than that of CUDA 12.8 (570.26): the GPUs are of several brands: geforce, tesla"},
		{"several brands, new driver", "?the GPUs are of several brands: geforce, tesla", "570.26", "12.8", cuda128, ""},
		{"no driver", "", "", "", cuda128, "needs a driver for CUDA 12.8 (absent)"},
		{"a later CUDA than is known", "nvidia", "535.113.01", "12.2", "cuda>=99", "needs gpu.nvidia cuda_version >= 99 (is 12.2)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			features := facts.NewFeatures()
			set := map[string]string{"count": "1"}
			for element, value := range map[string]string{"brand": tt.brand, "driver_version": tt.driver, "cuda_version": tt.cuda} {
				if cause, isUnknown := strings.CutPrefix(value, "?"); isUnknown {
					features.Unknown["gpu.nvidia/"+element] = cause
				} else if value != "" {
					set[element] = value
				}
			}
			features.Attributes["gpu.nvidia"] = set
			v := selector.Evaluate(facts.New("linux", "amd64", features), dialect.NVIDIARequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": tt.require}))
			if got := v.Reason(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func FuzzNVIDIARequirements(f *testing.F) {
	f.Add("cuda>=12.0 brand=tesla,driver>=450,driver<451")
	f.Add("cuda!=1,,= <>")
	facts := compattest.HPC()
	f.Fuzz(func(_ *testing.T, text string) {
		v := selector.Evaluate(facts, dialect.NVIDIARequirements(map[string]string{"NVIDIA_REQUIRE_CUDA": text}))
		_ = v.Reason()
	})
}
