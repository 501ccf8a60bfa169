package spec

import (
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/hostfacts/nvidia"
)

// NewerDriver says which driver a version of CUDA comes with; nil for a version
// that is newer than all known ones.
func NewerDriver(cuda string) *compat.Newer {
	driver := nvidia.DriverOf(cuda)
	if driver == "" || CheckVersion(cuda) != nil {
		return nil
	}
	return &compat.Newer{
		What: "driver", For: "CUDA " + nvidia.Release(cuda), Set: "gpu.nvidia", Element: "driver_version", Least: driver,
	}
}

// cudaRequirement holds where the driver supports the version of CUDA. With an
// older one it is unknown where NVIDIA says that it may run: on a driver for another
// release of the same first number, and on a data-centre GPU if the image brings
// the libraries of a newer driver.
func cudaRequirement(req compat.Requirement, value string) compat.Requirement {
	term := func(element string, op compat.Op, values ...string) compat.Term {
		return compat.Term{Element: element, Op: op, Values: values}
	}
	release := nvidia.Release(value)
	req.Terms = append(req.Terms, term("cuda_version", compat.Ge, release))
	req.Newer = NewerDriver(value)
	if least := nvidia.MinorCompatible(value); least != "" {
		req.May = append(req.May, compat.May{
			Set: req.Set, Terms: []compat.Term{term("driver_version", compat.Ge, least)},
			Why: "it runs as far as it uses nothing newer of the driver (minor version compatibility)",
		})
	}
	req.May = append(req.May, compat.May{
		Set: req.Set,
		Terms: []compat.Term{
			term("brand", compat.In, nvidia.DataCentreBrands()...), term("driver_version", compat.Ge, nvidia.ForwardCompatible),
		},
		Why: "it runs if the image brings the libraries of a newer driver (cuda-compat)",
	})
	return req
}

// rocmRequirement holds where the kernel driver is of that release of ROCm or a
// later one. The image brings its own libraries, which AMD supports on the drivers of
// some releases before and after: with an older driver, or one that does not tell its
// release, it is unknown.
func rocmRequirement(req compat.Requirement, value string) compat.Requirement {
	req.Terms = append(req.Terms, compat.Term{Element: "rocm_driver", Op: compat.Ge, Values: []string{value}})
	req.May = []compat.May{{
		Set: req.Set, Terms: []compat.Term{{Element: "gfx_targets", Op: compat.Exists}},
		Why: "ROCm " + value + " in the image may run on the driver of another release",
	}}
	return req
}
