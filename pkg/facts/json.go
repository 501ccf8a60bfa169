package facts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

const (
	jsonVersion  = 1
	maxFactsJSON = 16 << 20
)

// document is the JSON of Facts: what "nfd export features" prints, and the
// fields of our own.
type document struct {
	Version     int                                      `json:"version,omitempty"`
	OS          string                                   `json:"os,omitempty"`
	Arch        string                                   `json:"arch,omitempty"`
	Fingerprint string                                   `json:"fingerprint,omitempty"`
	Flags       map[string]elements[map[string]struct{}] `json:"flags"`
	Attributes  map[string]elements[map[string]string]   `json:"attributes"`
	Instances   map[string]elements[[]jsonInstance]      `json:"instances"`
	Unknown     map[string]string                        `json:"unknown,omitempty"`
	Absent      map[string]elements[map[string]struct{}] `json:"absent,omitempty"`
	Origins     map[string]string                        `json:"origins,omitempty"`
	Problems    []string                                 `json:"problems,omitempty"`
}

type elements[T any] struct {
	Elements T `json:"elements"`
}

type jsonInstance struct {
	Attributes map[string]string `json:"attributes"`
}

// MarshalJSON returns the facts as "nfd export features" prints them, and in
// addition the os, the architecture, the fingerprint, the unknowns, the origins
// and the problems. The order is always the same.
func (f *Facts) MarshalJSON() ([]byte, error) {
	instances := make(map[string][]jsonInstance, len(f.instances))
	for set, list := range f.instances {
		instances[set] = make([]jsonInstance, 0, len(list))
		for _, attributes := range list {
			instances[set] = append(instances[set], jsonInstance{Attributes: attributes})
		}
	}
	return json.Marshal(document{
		Version:     jsonVersion,
		OS:          f.os,
		Arch:        f.arch,
		Fingerprint: f.Fingerprint(),
		Flags:       wrapped(f.flags),
		Attributes:  wrapped(f.attributes),
		Instances:   wrapped(instances),
		Unknown:     f.unknown,
		Absent:      wrapped(f.absent),
		Origins:     f.origins,
		Problems:    f.problems,
	})
}

func wrapped[T any](sets map[string]T) map[string]elements[T] {
	all := make(map[string]elements[T], len(sets))
	for set, of := range sets {
		all[set] = elements[T]{of}
	}
	return all
}

// Document is facts as they were read from JSON, before they become Facts.
type Document struct {
	Version  int // 0 for what "nfd export features" prints, which has no version
	OS, Arch string
	Features Features
}

// Decode reads facts of at most 16 MiB, as MarshalJSON or "nfd export features"
// wrote them. It ignores a fingerprint in the file: Facts compute their own.
func Decode(r io.Reader) (Document, error) {
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
			err = errors.New("trailing data after the facts")
		}
	}
	switch {
	case limited.N <= 0:
		err = fmt.Errorf("larger than %d bytes", maxFactsJSON)
	case err == nil && doc.Version != 0 && doc.Version != jsonVersion:
		err = fmt.Errorf("version %d is not supported, only %d is", doc.Version, jsonVersion)
	}
	if err != nil {
		return Document{}, fmt.Errorf("parse facts: %w", err)
	}
	return Document{Version: doc.Version, OS: doc.OS, Arch: doc.Arch, Features: doc.features()}, nil
}

func (d document) features() Features {
	features := NewFeatures()
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
