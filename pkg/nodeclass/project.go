package nodeclass

import (
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// leftOut is why the rest of a node's facts is unknown of its class.
const leftOut = "it is not part of the node class"

// Project returns the part of the facts that a class has. What is left out is unknown,
// never absent. Of several devices that are alike in what is kept, one is kept: no
// requirement counts devices.
func Project(f *facts.Facts, d Dimensions) *facts.Facts {
	all := d.selections()
	whole := map[string]bool{}
	for _, s := range all {
		whole[s.set] = len(s.only) == 0
	}
	features := f.FeaturesOf(func(set string) bool { return whole[set] })
	features.Origins = map[string]string{}
	features.Unknown[Whole] = leftOut
	for _, s := range all {
		switch {
		case len(s.only) == 0:
			s.leaveOut(&features)
		case f.HasInstances(s.set):
			s.keepAttributes(&features, f)
		default:
			s.keepElements(&features, f)
		}
	}
	for set, list := range features.Instances {
		features.Instances[set] = distinct(list)
	}
	return facts.NewOwned(f.OS(), f.Arch(), features)
}

// leaveOut removes the exceptions.
func (s selection) leaveOut(features *facts.Features) {
	_, isAttributes := features.Attributes[s.set]
	list, isInstances := features.Instances[s.set]
	if !isAttributes && !isInstances {
		return // unknown altogether
	}
	for _, element := range s.except {
		delete(features.Attributes[s.set], element)
		for _, device := range list {
			delete(device, element)
		}
		features.Unknown[s.set+"/"+element] = leftOut
	}
}

// keepElements keeps some elements of a set.
func (s selection) keepElements(features *facts.Features, f *facts.Facts) {
	features.Unknown[s.set] = leftOut
	if _, whole := f.Names(s.set); whole.State == facts.Unknown {
		features.Unknown[s.set] = whole.Cause
	}
	attributes := map[string]string{}
	var flags []string
	for _, element := range s.only {
		switch fact := f.Lookup(s.set, element); {
		case fact.State == facts.Present && fact.Value != "":
			attributes[element] = fact.Value
		case fact.State == facts.Present:
			flags = append(flags, element)
		case fact.State == facts.Absent:
			features.Absent[s.set] = append(features.Absent[s.set], element)
		default:
			features.Unknown[s.set+"/"+element] = fact.Cause
		}
	}
	if len(attributes) > 0 {
		features.Attributes[s.set] = attributes
	}
	if len(flags) > 0 {
		features.Flags[s.set] = flags
	}
}

// keepAttributes keeps some attributes of each instance of a set.
func (s selection) keepAttributes(features *facts.Features, f *facts.Facts) {
	list, fact := f.Instances(s.set)
	if fact.State != facts.Present {
		features.Unknown[s.set] = fact.Cause
		return
	}
	kept := make([]map[string]string, len(list))
	for i, device := range list {
		kept[i] = make(map[string]string, len(s.only))
		for _, attribute := range s.only {
			if value, ok := device[attribute]; ok {
				kept[i][attribute] = value
			}
		}
	}
	features.Instances[s.set] = kept
	for _, attribute := range s.only {
		if missing := f.MissingAttribute(s.set, attribute); missing.State == facts.Unknown {
			features.Unknown[s.set+"/"+attribute] = missing.Cause
		} else {
			features.Absent[s.set] = append(features.Absent[s.set], attribute)
		}
	}
	features.Unknown[s.set+"/"+Whole] = leftOut
}

// distinct sorts instances and leaves out those that are alike.
func distinct(list []map[string]string) []map[string]string {
	texts := make(map[string]map[string]string, len(list))
	for _, device := range list {
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(device)) {
			b.WriteString(name + "\x00" + device[name] + "\x00")
		}
		texts[b.String()] = device
	}
	sorted := make([]map[string]string, 0, len(texts))
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		sorted = append(sorted, texts[text])
	}
	return sorted
}
