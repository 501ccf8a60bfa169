package hostfacts

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/nvidia"
)

// The names of changes that several facts follow from.
const (
	changeKernel = "kernel.version"
	changeDriver = "nvidia.driver"
)

// maxChangeText bounds a value in an error.
const maxChangeText = 80

// Change returns the facts of a host after a change, such as an upgrade. Each change is
// KEY=VALUE with SET/ELEMENT or SET.ELEMENT as the key, a fact that the host has or that
// is declared for a set that the host knows. The value of a flag is true or false; that of
// an attribute without a value makes it absent. kernel.version=6.12 and
// nvidia.driver=580.65 replace all facts that follow from these versions, and flags of the
// CPU its level and targets.
func Change(f *facts.Facts, changes ...string) (*facts.Facts, error) {
	c := change{before: f, features: f.Features()}
	for _, text := range changes {
		if err := c.apply(text); err != nil {
			return nil, fmt.Errorf("change %s: %w", textutil.Quote(text), err)
		}
	}
	return facts.NewOwned(f.OS(), f.Arch(), c.features), nil
}

// change is facts that are being changed.
type change struct {
	before   *facts.Facts
	features facts.Features
}

func (c *change) apply(text string) error {
	key, value, ok := strings.Cut(text, "=")
	switch {
	case !ok || key == "":
		return fmt.Errorf("it is not KEY=VALUE, such as %s=6.12 or cpu.cpuid/AVX512F=true", changeKernel)
	case key == changeKernel:
		return c.setKernel(value)
	case key == changeDriver:
		return c.setDriver(value)
	}
	set, element, err := c.find(key)
	if err != nil {
		return err
	}
	if set == nvidiaSet && element == "driver_version" {
		return c.setDriver(value)
	}
	if _, isFlags := c.features.Flags[set]; isFlags {
		return c.setFlag(set, element, value)
	}
	c.setAttribute(set, element, value)
	return nil
}

// find finds the fact that a key names.
func (c *change) find(key string) (set, element string, err error) {
	sets := c.features.Sets()
	if before, after, ok := strings.Cut(key, "/"); ok {
		set, element = before, after
	} else {
		for _, known := range sets {
			if rest, ok := strings.CutPrefix(key, known+"."); ok && len(known) > len(set) {
				set, element = known, rest
			}
		}
	}
	_, isFlags := c.features.Flags[set]
	_, isAttributes := c.features.Attributes[set]
	if _, isInstances := c.features.Instances[set]; isInstances && !isAttributes && !isFlags {
		return "", "", fmt.Errorf("%s is a list of devices, which cannot be changed: edit a copy of what imagefit facts -o json prints", set)
	}
	if element == "" || !isFlags && !isAttributes {
		return "", "", fmt.Errorf("the host has no such fact%s", meant(key, c.keys()))
	}
	if c.before.Lookup(set, element).State == facts.Present || declares(set, element) {
		return set, element, nil
	}
	return "", "", fmt.Errorf("the host has no such fact%s", meant(key, c.keys()))
}

// declares reports whether hosts may have an element of a set.
func declares(set, element string) bool {
	declared, ok := FindSet(set)
	if !ok {
		return false
	}
	if set == "cpu.cpuid" {
		x86, others := CPUFlags()
		return slices.Contains(x86, element) || slices.Contains(others, element)
	}
	names := declared.Names()
	return slices.Contains(names, element)
}

// keys are all keys that name a fact of the host.
func (c *change) keys() []string {
	keys := []string{changeKernel, changeDriver}
	for set, flags := range c.features.Flags {
		for _, flag := range flags {
			keys = append(keys, set+"/"+flag)
		}
	}
	for set, attributes := range c.features.Attributes {
		for element := range attributes {
			keys = append(keys, set+"/"+element)
		}
	}
	slices.Sort(keys)
	return keys
}

func meant(key string, known []string) string {
	if near := textutil.Nearest(key, known); near != "" {
		return " (is " + near + " meant?)"
	}
	return ": imagefit facts lists all"
}

func (c *change) setAttribute(set, element, value string) {
	if c.features.Attributes[set] == nil {
		c.features.Attributes[set] = map[string]string{}
	}
	delete(c.features.Unknown, set+"/"+element)
	if value == "" {
		delete(c.features.Attributes[set], element)
		return
	}
	c.features.Attributes[set][element] = value
}

func (c *change) setFlag(set, flag, value string) error {
	flags := slices.DeleteFunc(c.features.Flags[set], func(f string) bool { return f == flag })
	switch value {
	case "true":
		flags = append(flags, flag)
	case "false":
	default:
		return fmt.Errorf("%s/%s is a flag: its value is true or false", set, flag)
	}
	c.features.Flags[set] = flags
	delete(c.features.Unknown, set+"/"+flag)
	c.features.Absent[set] = slices.DeleteFunc(c.features.Absent[set], func(f string) bool { return f == flag })
	if _, partly := c.features.Unknown[set]; partly && value == "false" {
		c.features.Absent[set] = append(c.features.Absent[set], flag)
	}
	if set == "cpu.cpuid" {
		c.deriveCPU()
	}
	return nil
}

// deriveCPU derives level and targets from the flags of the CPU. What the flags alone do
// not tell of a target stays as it was.
func (c *change) deriveCPU() {
	if c.before.Arch() != "amd64" {
		return
	}
	flags := slices.DeleteFunc(c.features.Flags["cpu.cpuid"], func(flag string) bool { return strings.HasPrefix(flag, "X86_64_V") })
	level := facts.X86Level(func(flag string) bool { return slices.Contains(flags, flag) })
	for named := 1; named <= level; named++ {
		flags = append(flags, facts.X86LevelName(named))
	}
	c.features.Flags["cpu.cpuid"] = flags
	addX86Level(level, &c.features)
	derived := facts.NewFeatures()
	addUnnamedCPU(c.before.Arch(), flags, "", &derived)
	targets := derived.Flags["cpu.archspec"]
	for name, cause := range derived.Unknown {
		set, target, _ := strings.Cut(name, "/")
		switch {
		case set != "cpu.archspec" || target == "":
		case c.before.Lookup(set, target).State == facts.Present:
			targets = append(targets, target)
		default:
			c.features.Unknown[name] = cause
		}
	}
	c.features.Flags["cpu.archspec"] = targets
}

func (c *change) setKernel(release string) error {
	parsed := parseKernelVersion(release)
	if parsed["major"] == "" {
		return errors.New("a kernel version begins with a number, such as 6.12.0")
	}
	for _, element := range []string{"full", "major", "minor", "revision"} {
		c.setAttribute(changeKernel, element, parsed[element])
	}
	delete(c.features.Unknown, changeKernel)
	return nil
}

// setDriver replaces the version of NVIDIA's driver, and the CUDA version that follows.
func (c *change) setDriver(version string) error {
	gpus := c.features.Instances["gpu.device"]
	isNVIDIA := func(gpu map[string]string) bool { return gpu["vendor"] == "nvidia" }
	if c.features.Attributes[nvidiaSet]["driver_version"] == "" && !slices.ContainsFunc(gpus, isNVIDIA) {
		return errors.New("the host has no NVIDIA GPU and no driver for one")
	}
	cuda := nvidia.CUDAOf(version)
	if cuda == "" {
		return fmt.Errorf("%s is not the version of a driver that supports CUDA 6.5 or later", textutil.Line(version, maxChangeText))
	}
	c.setAttribute(nvidiaSet, "driver_version", version)
	c.setAttribute(nvidiaSet, "cuda_version", cuda)
	for _, gpu := range gpus {
		if isNVIDIA(gpu) {
			gpu["driver_version"], gpu["cuda_version"] = version, cuda
		}
	}
	return nil
}
