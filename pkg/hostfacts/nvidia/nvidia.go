// Package nvidia has the public facts of NVIDIA's drivers, CUDA releases and
// products that images and nodes are compared by.
package nvidia

import (
	"regexp"
	"strings"

	"github.com/imagefit/imagefit/pkg/version"
)

// release is one CUDA release and the first Linux driver for it.
type release struct{ driver, cuda string }

// releases is the table "CUDA Toolkit and Corresponding Driver Versions" of
// NVIDIA's CUDA release notes, the first driver of each release, in order. No
// toolkit 12.7 was released, but drivers of the 565 branch support that version.
func releases() []release {
	return []release{
		{"340.29", "6.5"}, {"346.46", "7.0"}, {"352.31", "7.5"}, {"367.48", "8.0"},
		{"384.81", "9.0"}, {"387.26", "9.1"}, {"396.26", "9.2"},
		{"410.48", "10.0"}, {"418.39", "10.1"}, {"440.33", "10.2"},
		{"450.36.06", "11.0"}, {"455.23", "11.1"}, {"460.27.03", "11.2"}, {"465.19.01", "11.3"},
		{"470.42.01", "11.4"}, {"495.29.05", "11.5"}, {"510.39.01", "11.6"}, {"515.43.04", "11.7"},
		{"520.61.05", "11.8"},
		{"525.60.13", "12.0"}, {"530.30.02", "12.1"}, {"535.54.03", "12.2"}, {"545.23.06", "12.3"},
		{"550.54.14", "12.4"}, {"555.42.02", "12.5"}, {"560.28.03", "12.6"}, {"565.57.01", "12.7"},
		{"570.26", "12.8"}, {"575.51.03", "12.9"},
		{"580.65.06", "13.0"}, {"590.44.01", "13.1"}, {"595.45.04", "13.2"}, {"610.43.02", "13.3"},
	}
}

// CUDAOf returns the newest CUDA release that the driver supports, or nothing when
// the driver is older than all of them. A driver newer than the last release known
// here supports at least that one.
func CUDAOf(driver string) string {
	newest := ""
	for _, r := range releases() {
		if order, ok := version.Compare(driver, r.driver); ok && order >= 0 {
			newest = r.cuda
		}
	}
	return newest
}

// DriverOf returns the first driver that supports a CUDA version, such as 12.8 or
// 12.8.1, and nothing for one newer than all that are known here.
func DriverOf(cuda string) string {
	for _, r := range releases() {
		if order, ok := version.Compare(r.cuda, Release(cuda)); ok && order >= 0 {
			return r.driver
		}
	}
	return ""
}

// Release returns the first two numbers of a CUDA version: an update such as
// 12.8.1 needs no newer driver.
func Release(cuda string) string {
	parts := strings.SplitN(cuda, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// MinorCompatible returns the first driver on which programs of any CUDA release
// with the same first number run, as far as they use nothing newer of the driver
// ("minor version compatibility" in NVIDIA's CUDA compatibility guide). CUDA before
// 11 has none.
func MinorCompatible(cuda string) string {
	major, _, _ := strings.Cut(cuda, ".")
	return map[string]string{"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}[major]
}

// DataCentreBrands are the brands on which a container can bring a newer driver's
// libraries (the package cuda-compat), the others being left out by NVIDIA.
func DataCentreBrands() []string { return []string{"tesla", "nvidia"} }

// ForwardCompatible is the oldest driver that any cuda-compat package of CUDA 11 or
// later works with.
const ForwardCompatible = "418.40.04"

// BrandOf returns the brand of a GPU under the names of NVIDIA_REQUIRE_* variables,
// by its model as the driver prints it; empty where the model does not tell it. The
// brand is what NVML reports, and these are its rules by example: data-centre GPUs
// up to Turing are "tesla", later ones "nvidia"; GeForce with RTX is "geforcertx".
func BrandOf(model string) string {
	name := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(model), "NVIDIA "))
	for _, rule := range brandRules() {
		if rule.model.MatchString(name) {
			return rule.brand
		}
	}
	return ""
}

type brandRule struct {
	model *regexp.Regexp
	brand string
}

func brandRules() []brandRule {
	rule := func(pattern, brand string) brandRule { return brandRule{regexp.MustCompile(pattern), brand} }
	return []brandRule{
		// Virtual GPUs, by the letter of their licence.
		rule(`-\d+Q$`, "vws"), rule(`-\d+C$`, "vcs"), rule(`-\d+B\d?$`, "vpc"), rule(`-\d+A$`, "vapps"),
		rule(`^GRID `, "grid"),
		rule(`^GeForce RTX `, "geforcertx"), rule(`^GeForce `, "geforce"),
		rule(`^(TITAN|Titan) RTX`, "titanrtx"), rule(`^(GeForce GTX )?(TITAN|Titan)`, "titan"),
		rule(`^Quadro RTX `, "quadrortx"), rule(`^Quadro `, "quadro"), rule(`^NVS `, "nvs"),
		rule(`^RTX `, "nvidiartx"), // RTX A6000, RTX 6000 Ada Generation, RTX PRO 6000 Blackwell
		rule(`^Tesla `, "tesla"), rule(`^(T4|T4G|P4|P40|P100|V100S?|M4|M40|M60|K80)\b`, "tesla"),
		rule(`^(A2|A10|A10G|A10M|A16|A30X?|A40|A100X?|A800|L2|L4|L20|L40S?|L40G|H20|H100|H200|H800|GH200|B100|B200|B300|GB200|GB300)\b`, "nvidia"),
	}
}
