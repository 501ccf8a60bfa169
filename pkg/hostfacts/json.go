package hostfacts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

const (
	jsonVersion  = 1
	maxFactsJSON = 16 << 20
)

// document is the JSON of Facts: what "nfd export features" prints, and the
// fields of our own.
type document struct {
	Version     int                       `json:"version,omitempty"`
	OS          string                    `json:"os,omitempty"`
	Arch        string                    `json:"arch,omitempty"`
	Fingerprint string                    `json:"fingerprint,omitempty"`
	Flags       map[string]jsonFlags      `json:"flags"`
	Attributes  map[string]jsonAttributes `json:"attributes"`
	Instances   map[string]jsonInstances  `json:"instances"`
	Unknown     map[string]string         `json:"unknown,omitempty"`
	Absent      map[string]jsonFlags      `json:"absent,omitempty"`
	Origins     map[string]string         `json:"origins,omitempty"`
	Problems    []string                  `json:"problems,omitempty"`
}

type jsonFlags struct {
	Elements map[string]struct{} `json:"elements"`
}

type jsonAttributes struct {
	Elements map[string]string `json:"elements"`
}

type jsonInstances struct {
	Elements []jsonInstance `json:"elements"`
}

type jsonInstance struct {
	Attributes map[string]string `json:"attributes"`
}

// MarshalJSON returns the facts as "nfd export features" prints them, with the
// os, the architecture, the fingerprint, the unknowns, the origins and the
// problems besides. The order is always the same.
func (f *Facts) MarshalJSON() ([]byte, error) {
	doc := document{
		Version:     jsonVersion,
		OS:          f.os,
		Arch:        f.arch,
		Fingerprint: f.Fingerprint(),
		Flags:       make(map[string]jsonFlags, len(f.flags)),
		Attributes:  make(map[string]jsonAttributes, len(f.attributes)),
		Instances:   make(map[string]jsonInstances, len(f.instances)),
		Unknown:     f.unknown,
		Absent:      make(map[string]jsonFlags, len(f.absent)),
		Origins:     f.origins,
		Problems:    f.problems,
	}
	for set, elements := range f.absent {
		doc.Absent[set] = jsonFlags{Elements: elements}
	}
	for set, elements := range f.flags {
		doc.Flags[set] = jsonFlags{Elements: elements}
	}
	for set, elements := range f.attributes {
		doc.Attributes[set] = jsonAttributes{Elements: elements}
	}
	for set, list := range f.instances {
		elements := make([]jsonInstance, 0, len(list))
		for _, attributes := range list {
			elements = append(elements, jsonInstance{Attributes: attributes})
		}
		doc.Instances[set] = jsonInstances{Elements: elements}
	}
	return json.Marshal(doc)
}

// Parse reads facts of at most 16 MiB, as MarshalJSON or "nfd export features"
// wrote them. A fingerprint in the file is not believed but computed anew. What
// NFD does not export, the architecture and the x86-64 level, is told from the
// CPU flags.
func Parse(r io.Reader) (*Facts, error) {
	limited := &io.LimitedReader{R: r, N: maxFactsJSON + 1}
	decoder := json.NewDecoder(limited)
	decoder.DisallowUnknownFields()
	var doc document
	err := decoder.Decode(&doc)
	if err == nil {
		_, err = decoder.Token()
		switch {
		case errors.Is(err, io.EOF):
			err = nil
		case err == nil:
			err = errors.New("something follows the facts")
		}
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("parse facts: larger than %d bytes", maxFactsJSON)
	}
	if err != nil {
		return nil, fmt.Errorf("parse facts: %w", err)
	}
	return doc.facts()
}

func (d document) facts() (*Facts, error) {
	features := d.features()
	switch d.Version {
	case jsonVersion:
		return New(d.OS, d.Arch, features), nil
	case 0:
		return fromNFD(features)
	default:
		return nil, fmt.Errorf("parse facts: version %d is not known, only %d is", d.Version, jsonVersion)
	}
}

// fromNFD adds what NFD does not export.
func fromNFD(features Features) (*Facts, error) {
	flags := features.Flags["cpu.cpuid"]
	arch, err := archOf(flags)
	if err != nil {
		return nil, fmt.Errorf("parse facts: %w", err)
	}
	level := levelOf(arch, flags)
	addX86Level(level, &features)
	addUnnamedCPU(arch, level, "NFD does not export what tells the micro-architecture", &features)
	return New("linux", arch, features), nil
}

func (d document) features() Features {
	features := emptyFeatures()
	maps.Copy(features.Unknown, d.Unknown)
	maps.Copy(features.Origins, d.Origins)
	features.Problems = d.Problems
	for set, flags := range d.Flags {
		features.Flags[set] = slices.Collect(maps.Keys(flags.Elements))
	}
	for set, absent := range d.Absent {
		features.Absent[set] = slices.Collect(maps.Keys(absent.Elements))
	}
	for set, attributes := range d.Attributes {
		features.Attributes[set] = attributes.Elements
	}
	for set, instances := range d.Instances {
		list := make([]map[string]string, 0, len(instances.Elements))
		for _, instance := range instances.Elements {
			list = append(list, instance.Attributes)
		}
		features.Instances[set] = list
	}
	return features
}

// archOf tells the architecture from flags that only one has.
func archOf(flags []string) (string, error) {
	switch {
	case slices.Contains(flags, "ASIMD"):
		return "arm64", nil
	case slices.Contains(flags, "SSE2"), slices.Contains(flags, x86LevelName(1)),
		slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, "X86_64_V") }):
		return "amd64", nil
	default:
		return "", errors.New("no version, and cpu.cpuid does not tell the architecture")
	}
}

// levelOf prefers the level that NFD names, and else works it out.
func levelOf(arch string, flags []string) int {
	if arch != "amd64" {
		return 0
	}
	has := func(flag string) bool { return slices.Contains(flags, flag) }
	for level := x86MaxLevel; level > 1; level-- {
		if has(x86LevelName(level)) {
			return level
		}
	}
	return X86Level(has)
}
