package spec_test

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// TestOlderDriverMayRunAnImage: NVIDIA's drivers run programs of later releases of CUDA
// with the same first number, and on data-centre GPUs with libraries that the image brings.
func TestOlderDriverMayRunAnImage(t *testing.T) {
	t.Parallel()
	const fits, unfit, unknown = selector.Fits, selector.Unfit, selector.Unknown
	specs, err := spec.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name          string
		key           string
		brand, driver string
		cuda          string
		want          selector.Outcome
		reason        string
	}{
		{"driver of the release", "12.8", "geforcertx", "570.26", "12.8", fits, ""},
		{"an update of the release", "12.8.1", "geforcertx", "570.26", "12.8", fits, ""},
		{"older driver of the same first number", "12.8", "geforcertx", "535.113.01", "12.2", unknown,
			"needs a newer driver: driver 535.113.01 is older than that of CUDA 12.8 (570.26): it runs as far as it uses nothing newer of the driver (minor version compatibility)"},
		{"older driver of another first number", "13.0", "geforcertx", "535.113.01", "12.2", unfit,
			"needs a newer driver: driver 535.113.01 is too old for CUDA 13.0 (needs >= 580.65.06)"},
		{"on a data-centre GPU", "13.0", "nvidia", "535.113.01", "12.2", unknown,
			"needs a newer driver: driver 535.113.01 is older than that of CUDA 13.0 (580.65.06): it runs if the image brings the libraries of a newer driver (cuda-compat)"},
		{"no driver", "13.0", "", "", "", unfit, "needs a driver for CUDA 13.0 (absent)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			features := facts.NewFeatures()
			set := map[string]string{"count": "1"}
			for element, value := range map[string]string{"brand": tt.brand, "driver_version": tt.driver, "cuda_version": tt.cuda} {
				if value != "" {
					set[element] = value
				}
			}
			features.Attributes["gpu.nvidia"] = set
			features.Instances["gpu.device"] = []map[string]string{{"vendor": "nvidia"}}
			attribute := compat.Attribute{Group: "org.supercontainers", Key: "hardware.gpu.cuda.version", Value: tt.key}
			v := selector.Evaluate(facts.New("linux", "amd64", features), spec.NewInterpreter(specs).Requirements([]compat.Attribute{attribute}))
			if v.Outcome != tt.want || v.Reason() != tt.reason {
				t.Errorf("%s: %s\nwant %s: %s", v.Outcome, v.Reason(), tt.want, tt.reason)
			}
		})
	}
}
