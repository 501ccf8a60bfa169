package hostfacts

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/facts"
)

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
	for _, policy := range policies {
		if !isNumbered(policy, "policy") {
			continue
		}
		text, err := readTrimmed(h.root, dir+"/cpufreq/"+policy+"/base_frequency")
		if isNoAttribute(err) {
			continue
		}
		if err != nil {
			return err
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
