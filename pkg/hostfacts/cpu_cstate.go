package hostfacts

import (
	"fmt"
	"strconv"

	"github.com/imagefit/imagefit/pkg/facts"
)

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
