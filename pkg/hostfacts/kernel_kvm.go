package hostfacts

import (
	"github.com/imagefit/imagefit/pkg/facts"
	"strconv"
)

// collectKVM looks for the device of the kernel's hypervisor.
func collectKVM(h host, out *facts.Features) error {
	enabled, err := existsIn(h.root, "sys/devices/virtual", "sys/devices/virtual/misc/kvm")
	if err != nil {
		return err
	}
	out.Attributes["kernel.kvm"] = map[string]string{"enabled": strconv.FormatBool(enabled)}
	return nil
}
