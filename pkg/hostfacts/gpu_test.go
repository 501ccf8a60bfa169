package hostfacts

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestNVIDIAChipFollowsFromTheDeviceID(t *testing.T) {
	t.Parallel()
	for device, want := range map[string]string{
		"1194": "3.0 kepler",     // Tesla K76
		"1024": "3.5 kepler",     // Tesla K40c
		"102d": "3.7 kepler",     // Tesla K80
		"13bc": "5.0 maxwell",    // Quadro K1200
		"17fd": "5.2 maxwell",    // Tesla M40
		"13f2": "5.2 maxwell",    // Tesla M60
		"15f8": "6.0 pascal",     // Tesla P100 PCIe
		"1b38": "6.1 pascal",     // Tesla P40
		"1bb3": "6.1 pascal",     // Tesla P4
		"1db4": "7.0 volta",      // Tesla V100 PCIe
		"1df6": "7.0 volta",      // Tesla V100S
		"1eb8": "7.5 turing",     // Tesla T4
		"2182": "7.5 turing",     // GeForce GTX 1660 Ti
		"20b2": "8.0 ampere",     // A100 SXM4 80GB
		"20b7": "8.0 ampere",     // A30
		"2235": "8.6 ampere",     // A40
		"2237": "8.6 ampere",     // A10G
		"2204": "8.6 ampere",     // GeForce RTX 3090
		"2330": "9.0 hopper",     // H100 SXM5
		"2331": "9.0 hopper",     // H100 PCIe
		"2335": "9.0 hopper",     // H200
		"2342": "9.0 hopper",     // GH200
		"26b9": "8.9 ada",        // L40S
		"27b8": "8.9 ada",        // L4
		"2684": "8.9 ada",        // GeForce RTX 4090
		"2901": "10.0 blackwell", // B200
		"2941": "10.0 blackwell", // GB200
		"3182": "10.3 blackwell", // B300
		"2b85": "12.0 blackwell", // GeForce RTX 5090
		"2bb5": "12.0 blackwell", // RTX PRO 6000
		"2e12": "12.1 blackwell", // GB10
		"06c0": "",               // GeForce GTX 480, before Kepler
		"ffff": "", "": "", "zz": "",
	} {
		chip, ok := nvidiaChipOf(device)
		if got := strings.TrimSpace(chip.capability + " " + chip.architecture); got != want || ok != (want != "") {
			t.Errorf("device %q is %q, want %q", device, got, want)
		}
	}
}

func TestNVIDIAChipsDoNotOverlap(t *testing.T) {
	t.Parallel()
	last := uint64(0)
	for _, chip := range nvidiaChips() {
		if chip.first <= last || chip.last < chip.first {
			t.Errorf("block %04x-%04x comes after %04x", chip.first, chip.last, last)
		}
		last = chip.last
	}
}

func TestNVRMTextTellsVersionAndKind(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, version, kind string }{
		{"closed", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: gcc 12.3.0\n", "535.104.05", "proprietary"},
		{"open", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (dvs-builder@U16)\n", "550.54.15", "open"},
		{"two parts", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  390.46  Fri Mar 16\n", "390.46", "proprietary"},
		{"arm64", "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.65.06  Release Build\n", "580.65.06", "open"},
		{"no version", "NVRM version: soon\n", "", ""},
		{"compiler alone", "GCC version:  gcc version 11.4.0\n", "", ""},
		{"empty", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseNVRM([]byte(tt.text))
			if got.version != tt.version || got.kind != tt.kind || ok != (tt.version != "") {
				t.Errorf("got %+v %v", got, ok)
			}
		})
	}
}

func TestGFXTargetIsWrittenAsByCompilers(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]string{
		80003: "gfx803", 90000: "gfx900", 90006: "gfx906", 90008: "gfx908", 90010: "gfx90a", 90402: "gfx942",
		90500: "gfx950", 100300: "gfx1030", 110000: "gfx1100", 110501: "gfx1151", 120001: "gfx1201",
		0: "", 99: "", 1<<64 - 1: "",
	} {
		if got := gfxTarget(n); got != want {
			t.Errorf("gfxTarget(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestKFDNodeTellsAddressAndTarget(t *testing.T) {
	t.Parallel()
	// In a GPU that is parted, the upper bits of the location number the part.
	text := "cpu_cores_count 0\nlocation_id " + strconv.Itoa(3<<28|0xc5<<8|0x1<<3|2) + "\ndomain 1\ngfx_target_version 90402\n"
	address, target := parseKFDNode([]byte(text))
	if address != "0001:c5:01.2" || target != "gfx942" {
		t.Errorf("got %q %q", address, target)
	}
}

// gpuFiles is a tree with one PCI device.
func gpuFiles(class, vendor, device string, more map[string]string) map[string]string {
	const dir = "sys/bus/pci/devices/0000:01:00.0/"
	files := map[string]string{
		"proc/version": "Linux\n", "sys/module/kernel/uevent": "", "sys/class/net/lo/mtu": "1\n",
		dir + "class": class + "\n", dir + "vendor": vendor + "\n", dir + "device": device + "\n",
	}
	for name, content := range more {
		files[strings.ReplaceAll(name, "GPU/", dir)] = content
	}
	return files
}

func TestGPUFactsArePresentAbsentOrUnknown(t *testing.T) {
	t.Parallel()
	const nvrm = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat\n"
	orin := gpuFiles("0x020000", "0x15b3", "0x1017", map[string]string{
		"sys/module/nvgpu/x": "", "proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0000\x00nvidia,p3701-0000\x00nvidia,tegra234\x00",
		"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n",
	})
	tests := []lookupCase{
		{name: "without sys nothing is known", files: map[string]string{"proc/version": ""}, set: "gpu.nvidia", element: "count", want: facts.Unknown, cause: "sys/bus"},
		{name: "without a PCI bus there is no GPU", files: map[string]string{"sys/bus/usb/x": "", "sys/module/x/y": "", "sys/class/x": ""}, set: "gpu.amd", element: "count", want: facts.Present, value: "0"},
		{name: "without a GPU nothing has a driver", files: gpuFiles("0x020000", "0x15b3", "0x1017", nil), set: "gpu.nvidia", element: "driver_version", want: facts.Absent},
		{name: "no driver", files: gpuFiles("0x030200", "0x10de", "0x20b0", nil), set: "gpu.nvidia", element: "driver_version", want: facts.Absent},
		{name: "no driver but a chip", files: gpuFiles("0x030200", "0x10de", "0x20b0", nil), set: "gpu.nvidia", element: "compute_capability", want: facts.Present, value: "8.0"},
		{name: "the driver without its version file", files: gpuFiles("0x030200", "0x10de", "0x20b0", map[string]string{"sys/module/nvidia/version": "470.82.01\n"}), set: "gpu.nvidia", element: "cuda_version", want: facts.Present, value: "11.4"},
		{name: "the version file counts", files: gpuFiles("0x030200", "0x10de", "0x20b0", map[string]string{"proc/driver/nvidia/version": nvrm}), set: "gpu.nvidia", element: "driver_version", want: facts.Present, value: "535.104.05"},
		{name: "a chip of tomorrow", files: gpuFiles("0x030200", "0x10de", "0x9999", nil), set: "gpu.nvidia", element: "compute_capability", want: facts.Unknown, cause: "device 9999 is not known"},
		{name: "a driver of yesterday", files: gpuFiles("0x030200", "0x10de", "0x1024", map[string]string{"sys/module/nvidia/version": "304.137\n"}), set: "gpu.nvidia", element: "cuda_version", want: facts.Unknown, cause: "304.137"},
		{name: "the memory of NVIDIA's is not told", files: gpuFiles("0x030200", "0x10de", "0x20b0", nil), set: "gpu.nvidia", element: "memory_mib", want: facts.Unknown, cause: "NVML"},
		{name: "a virtual function is not a second GPU", files: gpuFiles("0x030200", "0x10de", "0x20b0", map[string]string{"GPU/physfn": "-> ../0000:00:00.0", "sys/bus/pci/devices/0000:00:00.0/class": "0x060000"}), set: "gpu.nvidia", element: "count", want: facts.Present, value: "0"},
		{name: "in a virtual machine it is the GPU", files: gpuFiles("0x030200", "0x10de", "0x20b0", nil), set: "gpu.nvidia", element: "count", want: facts.Present, value: "1"},
		{name: "paravirtual", files: gpuFiles("0x030200", "0x1414", "0x008e", nil), set: "gpu.nvidia", element: "count", want: facts.Unknown, cause: "paravirtual"},
		{name: "Tegra of tomorrow", files: gpuFiles("0x020000", "0x15b3", "0x1017", map[string]string{"sys/module/nvgpu/x": ""}), set: "gpu.nvidia", element: "count", want: facts.Unknown, cause: "Tegra"},
		{name: "Jetson Orin", files: orin, set: "gpu.nvidia", element: "count", want: facts.Present, value: "1"},
		{name: "Jetson Orin, capability", files: orin, set: "gpu.nvidia", element: "compute_capability", want: facts.Present, value: "8.7"},
		{name: "Jetson Orin, brand", files: orin, set: "gpu.nvidia", element: "brand", want: facts.Present, value: "tegra"},
		{name: "Jetson Orin, driver", files: orin, set: "gpu.nvidia", element: "driver_version", want: facts.Present, value: "540.4.0"},
		{name: "Jetson Orin, CUDA", files: orin, set: "gpu.nvidia", element: "cuda_version", want: facts.Unknown, cause: "JetPack"},
		{name: "Jetson Xavier has no version of its driver", files: gpuFiles("0x020000", "0x15b3", "0x1017", map[string]string{"sys/module/nvgpu/x": "", "proc/device-tree/compatible": "nvidia,p2972-0000\x00nvidia,tegra194\x00"}), set: "gpu.nvidia", element: "driver_version", want: facts.Unknown, cause: "nvgpu"},
		{name: "Intel's NPU is not a GPU", files: gpuFiles("0x120000", "0x8086", "0x7d1d", nil), set: "gpu.intel", element: "count", want: facts.Present, value: "0"},
		{name: "a graphics chip for the console is not a GPU", files: gpuFiles("0x030000", "0x1a03", "0x2000", nil), set: "gpu.amd", element: "count", want: facts.Present, value: "0"},
		{name: "KFD that cannot be read", files: gpuFiles("0x120000", "0x1002", "0x74a1", map[string]string{"sys/class/kfd/kfd/topology/nodes/1/properties/x": ""}), set: "gpu.amd", element: "gfx_target", want: facts.Unknown, cause: "not a regular file"},
		{name: "no KFD", files: gpuFiles("0x120000", "0x1002", "0x74a1", nil), set: "gpu.amd", element: "gfx_target", want: facts.Absent},
		{name: "xe tells the memory of each tile", files: gpuFiles("0x030000", "0x8086", "0xe20b", map[string]string{"GPU/tile0/physical_vram_size_bytes": "8589934592", "GPU/tile1/physical_vram_size_bytes": "4294967296"}), set: "gpu.intel", element: "memory_mib", want: facts.Present, value: "12288"},
		{name: "memory that is not a number", files: gpuFiles("0x030000", "0x1002", "0x744c", map[string]string{"GPU/mem_info_vram_total": "much"}), set: "gpu.amd", element: "memory_mib", want: facts.Unknown, cause: "does not report"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.check(t)
		})
	}
}

// check looks the element up in what the collectors find.
func (tt lookupCase) check(t *testing.T) {
	t.Helper()
	got := Collect(context.Background(), tree(t, tt.files)).Lookup(tt.set, tt.element)
	if got.State != tt.want || got.Value != tt.value || !strings.Contains(got.Cause, tt.cause) {
		t.Errorf("Lookup(%s, %s) = %v %q %q, want %v %q and a cause with %q",
			tt.set, tt.element, got.State, got.Value, got.Cause, tt.want, tt.value, tt.cause)
	}
	if (got.State == facts.Unknown) != (got.Cause != "") {
		t.Errorf("state %v with cause %q", got.State, got.Cause)
	}
}

// TestGPUWithoutPermission: what may not be read is unknown and harms no other.
func TestGPUWithoutPermission(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	root := node(t, "nvidia-h100")
	if err := os.Chmod(filepath.Join(root.Dir(), "proc/driver/nvidia/version"), 0); err != nil {
		t.Fatal(err)
	}
	known := Collect(context.Background(), root)
	if got := known.Lookup("gpu.nvidia", "driver_version"); got.State != facts.Unknown || !strings.Contains(got.Cause, "permission denied") {
		t.Errorf("driver_version is %v %q", got.State, got.Cause)
	}
	if got := known.Lookup("gpu.nvidia", "compute_capability"); got.Value != "9.0" {
		t.Errorf("compute_capability is %v %q", got.State, got.Cause)
	}
}

func FuzzDriverTexts(f *testing.F) {
	f.Add([]byte("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n"))
	f.Add([]byte("Model: \t\t NVIDIA H100 80GB HBM3\n"))
	f.Add([]byte("gfx_target_version 90402\nlocation_id 1280\ndomain 0\n"))
	f.Add([]byte("location_id 18446744073709551615\ngfx_target_version 18446744073709551615\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, ok := parseNVRM(data); ok != isDottedNumber(m.version) {
			t.Errorf("%q is a version: %v", m.version, ok)
		}
		if model := lineAfter(data, "Model:"); model != strings.TrimSpace(model) {
			t.Errorf("model %q", model)
		}
		address, target := parseKFDNode(data)
		if target != "" && (!strings.HasPrefix(target, "gfx") || len(target) > 7) {
			t.Errorf("target %q of %q", target, address)
		}
	})
}

// TestGPULentToAVirtualMachine: a GPU that another driver holds has no share in
// what NVIDIA's driver offers.
func TestGPULentToAVirtualMachine(t *testing.T) {
	t.Parallel()
	files := gpuFiles("0x030200", "0x10de", "0x20b0", map[string]string{
		"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat\n",
		"GPU/driver":                 "-> ../../../bus/pci/drivers/vfio-pci",
	})
	known := Collect(context.Background(), tree(t, files))
	gpus, _ := known.Instances("gpu.device")
	if len(gpus) != 1 || gpus[0]["driver"] != "vfio-pci" || gpus[0]["driver_version"] != "" {
		t.Errorf("got %v", gpus)
	}
	if got := known.Lookup("gpu.nvidia", "model"); got.State != facts.Absent {
		t.Errorf("model is %v %q", got.State, got.Cause)
	}
}

func TestBrandIsThatOfAllGPUs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		models []string
		want   facts.Fact
	}{
		{[]string{"Tesla T4"}, facts.Fact{State: facts.Present, Value: "tesla"}},
		{[]string{"NVIDIA A100-SXM4-80GB", "NVIDIA H100 PCIe"}, facts.Fact{State: facts.Present, Value: "nvidia"}},
		{[]string{"Tesla T4", "NVIDIA GeForce RTX 3090"}, facts.Fact{Cause: "the GPUs are of several brands: geforcertx, tesla"}},
		{[]string{"unlinked NVIDIA GeForce GTX 1050 Ti"}, facts.Fact{State: facts.Present, Value: "geforce"}},
		{[]string{"Tesla T4", "Graphics Device"}, facts.Fact{Cause: "the driver does not report a model whose brand is known"}},
	} {
		files := map[string]string{
			"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n",
			"sys/class/kfd":              "",
		}
		for i, model := range tt.models {
			address := "0000:0" + strconv.Itoa(i) + ":00.0"
			dir := "sys/bus/pci/devices/" + address + "/"
			files[dir+"class"], files[dir+"vendor"], files[dir+"device"] = "0x030200\n", "0x10de\n", "0x1eb8\n"
			if name, unlinked := strings.CutPrefix(model, "unlinked "); unlinked {
				model = name
			} else {
				files[dir+"driver"] = "-> ../../../../bus/pci/drivers/nvidia"
			}
			files["proc/driver/nvidia/gpus/"+address+"/information"] = "Model: \t\t " + model + "\n"
		}
		known := Collect(context.Background(), tree(t, files))
		if got := known.Lookup("gpu.nvidia", "brand"); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.models, got, tt.want)
		}
	}
}

func TestROCmReleaseFollowsFromTheDriver(t *testing.T) {
	t.Parallel()
	for driver, want := range map[string]string{"6.8.5": "6.2", "6.7.8": "6.1", "6.14.14": "7.0", "6.16.6": "7.1", "6.16.13": "7.2", "6.19.4": "7.13", "6.19.14": "7.14", "5.18.13": "", "": ""} {
		if got := rocmOfDriver(driver); got != want {
			t.Errorf("driver %q is of ROCm %q, want %q", driver, got, want)
		}
	}
}
