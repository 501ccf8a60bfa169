package hostfacts

import (
	"strconv"

	"github.com/imagefit/imagefit/pkg/facts"
)

func kvmCollector() collector {
	return collector{collect: collectKVM, sets: []facts.Set{{
		Name: "kernel.kvm", NFD: true, Origin: "/sys/devices/virtual/misc/kvm",
		Elements: "enabled (true, false)",
	}}}
}

// collectKVM looks for the device of the kernel's hypervisor.
func collectKVM(h host, out *facts.Features) error {
	enabled, err := existsIn(h.root, "sys/devices/virtual", "sys/devices/virtual/misc/kvm")
	out.Attributes["kernel.kvm"] = map[string]string{"enabled": strconv.FormatBool(enabled)}
	return err
}
