package nvidia

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/version"
)

func TestCUDAReleaseFollowsFromTheDriver(t *testing.T) {
	t.Parallel()
	for driver, want := range map[string]string{
		"450.80.02": "11.0", "470.82.01": "11.4", "525.60.13": "12.0", "535.104.05": "12.2", "535.54.02": "12.1",
		"550.54.15": "12.4", "565.57.01": "12.7", "570.26": "12.8", "570.124.06": "12.8", "580.95.05": "13.0",
		"590.48.01": "13.1", "595.58.03": "13.2", "610.43.02": "13.3",
		"999.1":   "13.3", // at least that
		"304.137": "", "": "", "none": "",
	} {
		if got := CUDAOf(driver); got != want {
			t.Errorf("driver %q supports CUDA %q, want %q", driver, got, want)
		}
	}
}

func TestReleasesAreInOrder(t *testing.T) {
	t.Parallel()
	all := releases()
	for i, later := range all[1:] {
		earlier := all[i]
		driver, _ := version.Compare(earlier.driver, later.driver)
		cuda, _ := version.Compare(earlier.cuda, later.cuda)
		if driver >= 0 || cuda >= 0 {
			t.Errorf("%v comes before %v", earlier, later)
		}
	}
}

func TestDriverFollowsFromTheCUDARelease(t *testing.T) {
	t.Parallel()
	for cuda, want := range map[string]string{
		"12.8": "570.26", "12.8.1": "570.26", "12": "525.60.13", "12.0.0": "525.60.13", "11.8": "520.61.05", "13.0": "580.65.06",
		"1.0": "340.29", "99": "", "new": "",
	} {
		if got := DriverOf(cuda); got != want {
			t.Errorf("CUDA %s needs driver %q, want %q", cuda, got, want)
		}
	}
}

func TestBrandFollowsFromTheModel(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]string{
		"Tesla T4": "tesla", "Tesla V100-SXM2-32GB": "tesla", "NVIDIA T4": "tesla", "Tesla P100-PCIE-16GB": "tesla", "Tesla K80": "tesla",
		"NVIDIA A100-SXM4-80GB": "nvidia", "NVIDIA A10G": "nvidia", "NVIDIA H100 80GB HBM3": "nvidia", "NVIDIA L40S": "nvidia",
		"NVIDIA L4": "nvidia", "NVIDIA GH200 480GB": "nvidia", "NVIDIA B200": "nvidia", "NVIDIA A100 80GB PCIe": "nvidia", "A100-SXM4-40GB": "nvidia",
		"NVIDIA GeForce GTX 1050 Ti": "geforce", "GeForce MX250": "geforce", "NVIDIA GeForce GTX 1660": "geforce",
		"NVIDIA GeForce RTX 3090": "geforcertx", "GeForce RTX 2080 Ti": "geforcertx", "NVIDIA GeForce RTX 5090": "geforcertx",
		"Quadro P2000": "quadro", "Quadro RTX 6000": "quadrortx", "NVIDIA RTX A6000": "nvidiartx", "NVIDIA RTX 6000 Ada Generation": "nvidiartx",
		"NVIDIA RTX PRO 6000 Blackwell Server Edition": "nvidiartx", "TITAN V": "titan", "NVIDIA TITAN Xp": "titan", "TITAN RTX": "titanrtx",
		"NVS 510": "nvs", "GRID K2": "grid", "GRID V100-8Q": "vws", "NVIDIA A100-40C": "vcs", "NVIDIA A40-48Q": "vws", "GRID T4-2B": "vpc",
		"NVIDIA T1000 8GB": "", "NVIDIA CMP 170HX": "", "Graphics Device": "", "Orin": "", "": "",
	} {
		if got := BrandOf(model); got != want {
			t.Errorf("%s is of brand %q, want %q", model, got, want)
		}
	}
}
