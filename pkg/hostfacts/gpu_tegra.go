package hostfacts

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// tegraDriver is the kernel's driver of the GPU in a Tegra chip.
const tegraDriver = "nvgpu"

// tegraGPU is the GPU of a Tegra chip, by the chip that the device tree names.
func tegraGPU(root Root) (gpu, bool) {
	data, err := root.ReadHead("proc/device-tree/compatible", maxDriverText)
	if err != nil {
		return gpu{}, false
	}
	chips := map[string][3]string{
		"nvidia,tegra210": {"Tegra X1", "maxwell", "5.3"},
		"nvidia,tegra186": {"Tegra X2", "pascal", "6.2"},
		"nvidia,tegra194": {"Xavier", "volta", "7.2"},
		"nvidia,tegra234": {"Orin", "ampere", "8.7"},
	}
	for name := range strings.SplitSeq(string(data), "\x00") {
		if chip, ok := chips[name]; ok {
			return gpu{driver: tegraDriver, facts: map[string]string{
				"vendor": "nvidia", "model": chip[0], "architecture": chip[1], "compute_capability": chip[2],
				"brand": "tegra", "driver": tegraDriver, "integrated": "true",
			}}, true
		}
	}
	return gpu{}, false
}

// describeTegra says what is not known of the GPU of a Tegra chip: its libraries, and in
// older releases its driver, are of the JetPack.
func describeTegra(gpus []gpu, driver nvidiaModule, out *facts.Features) {
	if !slices.ContainsFunc(gpus, func(g gpu) bool { return g.driver == tegraDriver }) {
		return
	}
	delete(out.Attributes[nvidiaSet], "cuda_version")
	out.Unknown[nvidiaSet+"/cuda_version"] = "which CUDA a Tegra chip runs depends on its JetPack"
	if driver.version == "" {
		out.Unknown[nvidiaSet+"/driver_version"] = "the driver of a Tegra chip (nvgpu) has no version"
	}
}
