package selector

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
)

// maxKinds bounds the kinds of devices that a requirement is evaluated on.
const maxKinds = 16

// kindsOf are the devices of a node that differ in what counts; nil where there are too
// many kinds.
func kindsOf(known *facts.Facts, each *compat.Each) []map[string]string {
	list, _ := known.Instances(each.Devices)
	var kinds []map[string]string
	for _, device := range list {
		same := func(other map[string]string) bool {
			return !slices.ContainsFunc(each.Elements, func(element string) bool { return device[element] != other[element] })
		}
		if device[each.Element] != each.Value || slices.ContainsFunc(kinds, same) {
			continue
		}
		if kinds = append(kinds, device); len(kinds) > maxKinds {
			return nil
		}
	}
	return kinds
}

// onEach evaluates a requirement on each kind of device. Where it holds on some of them
// only, it is unknown.
func (e *evaluation) onEach(c *Check, u under, kinds []map[string]string) {
	req := c.Requirement
	var fitting, others []string
	var first *Check
	differ := false
	for _, device := range kinds {
		one := &evaluation{facts: e.facts, defined: e.defined, each: req.Each, device: device, free: make([]Check, count(req.Parts))}
		result := new(Check)
		one.check(result, req, u)
		name := nameOf(device, req.Each)
		if result.Outcome == Fits {
			fitting = append(fitting, name)
		} else {
			others = append(others, name)
		}
		if first == nil {
			first = result
		}
		differ = differ || result.Outcome != first.Outcome
	}
	*c = *first
	if !differ {
		return
	}
	unclear := compat.Requirement{Key: req.Key, Importance: req.Importance, Origin: req.Origin}.Unclearf(
		"it holds on some GPUs of the node (%s) and not on others (%s), and which of them a container gets is not known",
		strings.Join(fitting, ", "), strings.Join(others, ", "))
	if len(fitting) == 0 {
		unclear.Unclear = "it is not known whether it holds on one of the GPUs (" + strings.Join(others, ", ") + ")"
	}
	*c = Check{Requirement: &unclear, list: -1, term: -1, best: -1}
}

// nameOf names a kind of device by what counts of it.
func nameOf(device map[string]string, each *compat.Each) string {
	var parts []string
	for _, element := range each.Elements {
		if value := device[element]; value != "" {
			parts = append(parts, value)
		}
	}
	if len(parts) == 0 {
		return "unknown"
	}
	return strings.Join(parts, " ")
}

// ofDevice is a fact of the device that is looked at, if it is one of those that differ.
func (e *evaluation) ofDevice(set, element string) (facts.Fact, bool) {
	if e.each == nil || set != e.each.Set || !slices.Contains(e.each.Elements, element) {
		return facts.Fact{}, false
	}
	if value := e.device[element]; value != "" {
		return facts.Fact{State: facts.Present, Value: value}, true
	}
	return e.facts.MissingAttribute(e.each.Devices, element), true
}
