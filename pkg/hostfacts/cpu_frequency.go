package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectPState reads the intel_pstate driver. Without it the set is known and
// empty, as in NFD.
func collectPState(h host, out *facts.Features) error {
	const dir = "sys/devices/system/cpu"
	if err := h.root.stat(dir); err != nil {
		return err
	}
	out.Attributes["cpu.pstate"] = map[string]string{}
	status, err := readTrimmed(h.root, dir+"/intel_pstate/status")
	if errors.Is(err, fs.ErrNotExist) || err == nil && status == "off" {
		return nil
	}
	if err != nil {
		return err
	}
	out.Attributes["cpu.pstate"]["status"] = status
	noTurbo, err := readTrimmed(h.root, dir+"/intel_pstate/no_turbo")
	setElement(out, "cpu.pstate", "turbo", strconv.FormatBool(noTurbo == "0"), err)
	if status != "active" {
		return nil
	}
	governor, err := readGovernor(h.root, dir+"/cpufreq")
	setElement(out, "cpu.pstate", "scaling", governor, err)          // what NFD documents
	setElement(out, "cpu.pstate", "scaling_governor", governor, err) // what NFD prints
	return nil
}

// readGovernor returns the scaling governor all CPUs share, or nothing when
// they differ.
func readGovernor(root Root, dir string) (string, error) {
	policies, err := root.ReadDir(dir)
	if err != nil {
		return "", err
	}
	shared := ""
	for _, policy := range numbered(policies, "policy") {
		cpus, err := readTrimmed(root, dir+"/"+policy+"/affected_cpus")
		if err != nil {
			return "", err
		}
		if cpus == "" {
			continue
		}
		governor, err := readTrimmed(root, dir+"/"+policy+"/scaling_governor")
		if err != nil {
			return "", err
		}
		if shared != "" && shared != governor {
			return "", nil
		}
		shared = governor
	}
	return shared, nil
}

// collectCState reads whether the intel_idle driver may use C-states. With
// another driver, or none, the set is known and empty, as in NFD.
func collectCState(h host, out *facts.Features) error {
	const dir = "sys/devices/system/cpu"
	idle, err := existsIn(h.root, dir, dir+"/cpuidle")
	if err != nil {
		return err
	}
	out.Attributes["cpu.cstate"] = map[string]string{}
	if !idle {
		return nil
	}
	driver, err := readTrimmed(h.root, dir+"/cpuidle/current_driver")
	if err != nil {
		return err
	}
	if driver != "intel_idle" {
		return nil
	}
	limit, err := readTrimmed(h.root, "sys/module/intel_idle/parameters/max_cstate")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(limit)
	if err != nil {
		return fmt.Errorf("max_cstate of intel_idle is %.32q, not a number", limit)
	}
	out.Attributes["cpu.cstate"]["enabled"] = strconv.FormatBool(n > 0)
	return nil
}

// collectSST reads whether Intel Speed Select gives some cores a higher base
// frequency (SST-BF) than the nominal one. Only the intel_pstate driver shows base
// frequencies; without any, nothing is set, as in NFD.
func collectSST(h host, out *facts.Features) error {
	const dir = "sys/devices/system/cpu"
	policies, err := readDirIn(h.root, dir, dir+"/cpufreq")
	if err != nil {
		return err
	}
	highest := 0 // kHz
	for _, policy := range numbered(policies, "policy") {
		text, err := readOptional(h.root, dir+"/cpufreq/"+policy+"/base_frequency")
		if err != nil {
			return err
		}
		if text == "" {
			continue
		}
		frequency, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("base_frequency of %s is %.32q, not a number", policy, text)
		}
		highest = max(highest, frequency)
	}
	out.Attributes["cpu.sst"] = map[string]string{}
	if highest == 0 {
		return nil
	}
	if !h.asksCPU() || cpuid.CPU.Hz <= 0 {
		return errors.New("the nominal base frequency of the CPU is not known")
	}
	if baseRaised(highest, cpuid.CPU.Hz) {
		out.Attributes["cpu.sst"]["bf.enabled"] = "true"
	}
	return nil
}

// baseRaised compares whole megahertz, which is what CPUID gives.
func baseRaised(kiloHertz int, nominal int64) bool {
	return int64(kiloHertz/1000) > nominal/1_000_000
}
