package hostfacts_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

func TestFactsOfAHostAreReplaced(t *testing.T) {
	t.Parallel()
	xeon := compattest.Captured(t, "xeon-server")
	gpu := compattest.GPU()
	for name, test := range map[string]struct {
		host    *facts.Facts
		changes []string
		want    map[string]string // by set and element: a value, present or absent
	}{
		"kernel": {xeon, []string{"kernel.version=6.12"}, map[string]string{
			"kernel.version/full": "6.12", "kernel.version/major": "6", "kernel.version/minor": "12", "kernel.version/revision": "absent",
		}},
		"one element of the kernel's version": {xeon, []string{"kernel.version/minor=99"}, map[string]string{"kernel.version/minor": "99"}},
		"an option of the kernel's configuration": {facts.New("linux", "amd64", facts.Features{Attributes: map[string]map[string]string{
			"kernel.config": {"BPF_JIT": "n"}}}), []string{"kernel.config.BPF_JIT=y"}, map[string]string{"kernel.config/BPF_JIT": "y"}},
		"driver": {gpu, []string{"nvidia.driver=580.65.06"}, map[string]string{
			"gpu.nvidia/driver_version": "580.65.06", "gpu.nvidia/cuda_version": "13.0",
		}},
		"driver by the name of the fact": {gpu, []string{"gpu.nvidia/driver_version=535.54.03"}, map[string]string{"gpu.nvidia/cuda_version": "12.2"}},
		"flag that goes":                 {xeon, []string{"cpu.cpuid/AVX2=false"}, map[string]string{"cpu.cpuid/AVX2": "absent", "cpu.x86_64/level": "2", "cpu.archspec/haswell": "absent", "cpu.archspec/ivybridge": "present"}},
		"flag that comes":                {xeon, []string{"cpu.cpuid/AMXINT8=true"}, map[string]string{"cpu.cpuid/AMXINT8": "present"}},
		"several, the last one wins":     {xeon, []string{"kernel.version=5.4", "kernel.version=6.8.0"}, map[string]string{"kernel.version/major": "6", "kernel.version/revision": "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := test.host.Fingerprint()
			got, err := hostfacts.Change(test.host, test.changes...)
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range test.want {
				set, element, _ := strings.Cut(key, "/")
				fact := got.Lookup(set, element)
				is := fact.Value
				if is == "" {
					is = fact.State.String()
				}
				if is != want {
					t.Errorf("%s is %q, want %q", key, is, want)
				}
			}
			if test.host.Fingerprint() != before {
				t.Error("the facts of the host themselves have changed")
			}
		})
	}
	after, err := hostfacts.Change(gpu, "nvidia.driver=580.65.06")
	if err != nil {
		t.Fatal(err)
	}
	devices, _ := after.Instances("gpu.device")
	if len(devices) == 0 || devices[0]["driver_version"] != "580.65.06" || devices[0]["cuda_version"] != "13.0" {
		t.Errorf("devices %v", devices)
	}
}

func TestFactThatAHostDoesNotHaveIsNotReplaced(t *testing.T) {
	t.Parallel()
	xeon := compattest.Captured(t, "xeon-server")
	for change, want := range map[string]string{
		"kernel.versoin=6.12":       "is kernel.version meant?",
		"cpu.cpuid/AVX22=true":      "is cpu.cpuid/AVX2 meant?",
		"cpu.cpuid/AVX2=6":          "its value is true or false",
		"frobnication.level=3":      "imagefit facts lists all",
		"cpu=3":                     "the host has no such fact",
		"kernel.version":            "it is not KEY=VALUE",
		"=6":                        "it is not KEY=VALUE",
		"kernel.version=new":        "begins with a number",
		"pci.device/vendor=10de":    "is a list of devices",
		"kernel.version/\x1b[31m=1": "the host has no such fact",
		"kernel.version.vresion=6":  "the host has no such fact",
	} {
		_, err := hostfacts.Change(xeon, change)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%q: %v, want %q", change, err, want)
		}
	}
	if _, err := hostfacts.Change(compattest.Captured(t, "vm-milan"), "nvidia.driver=580.65"); err == nil || !strings.Contains(err.Error(), "no NVIDIA GPU") {
		t.Errorf("driver without a GPU: %v", err)
	}
	if _, err := hostfacts.Change(compattest.GPU(), "nvidia.driver=oldest"); err == nil || !strings.Contains(err.Error(), "not the version of a driver") {
		t.Errorf("driver: %v", err)
	}
}
