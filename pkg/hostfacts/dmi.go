package hostfacts

import (
	"errors"
	"io/fs"

	"github.com/imagefit/imagefit/pkg/facts"
)

// dmiFiles are the files that NFD reads. Serial numbers are left out.
func dmiFiles() []string {
	return []string{
		"bios_date", "bios_vendor", "bios_version",
		"board_asset_tag", "board_name", "board_vendor", "board_version",
		"chassis_asset_tag", "chassis_type", "chassis_vendor", "chassis_version",
		"product_family", "product_name", "product_sku", "product_version",
		"sys_vendor",
	}
}

// collectDMI reads how the firmware describes the machine. Machines without DMI,
// such as many of arm64, have an empty set.
func collectDMI(h host, out *facts.Features) error {
	const dir = "sys/class/dmi/id"
	exists, err := existsIn(h.root, "sys/class", dir)
	if err != nil {
		return err
	}
	elements := map[string]string{}
	out.Attributes["system.dmiid"] = elements
	if !exists {
		return nil
	}
	for _, file := range dmiFiles() {
		value, err := readTrimmed(h.root, dir+"/"+file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			out.Unknown["system.dmiid/"+file] = facts.CauseOf(err)
		default:
			elements[file] = value
		}
	}
	return nil
}
