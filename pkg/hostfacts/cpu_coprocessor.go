package hostfacts

import "github.com/imagefit/imagefit/pkg/facts"

// collectCoprocessor looks for the gzip accelerator of POWER. Other
// architectures do not have it.
func collectCoprocessor(h host, out *facts.Features) error {
	nxGzip, err := existsIn(h.root, "sys/devices", "sys/devices/vio/ibm,compression-v1/nx_gzip_caps")
	if err != nil {
		return err
	}
	out.Attributes["cpu.coprocessor"] = map[string]string{}
	if nxGzip {
		out.Attributes["cpu.coprocessor"]["nx_gzip"] = "true"
	}
	return nil
}
