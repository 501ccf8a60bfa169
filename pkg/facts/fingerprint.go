package facts

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// volatileSet names the part of a set that comes and goes while the node stays
// what it is, and so is left out of its fingerprint.
type volatileSet struct {
	set       string
	whole     bool
	ever      bool                         // whole, and even whether it is known
	elements  []string                     // of attributes and of every instance
	instances func(map[string]string) bool // whole instances
}

// volatileTable is the one list of what is left out. Everything else is in.
func volatileTable() []volatileSet {
	return []volatileSet{
		{set: "network.device", elements: []string{"operstate", "speed", "sriov_numvfs"}},
		{set: "network.virtual", whole: true}, // mostly those of pods
		{set: "rdma.device", elements: []string{"state", "rate_gbps"}},
		{set: "storage.block", instances: isVirtualBlock},
		// Who the node is, which its twin is not; a snapshot may leave it out.
		{set: "system.name", whole: true, ever: true},
		{set: "usb.device", elements: []string{"serial"}},
		{set: "system.dmiid", elements: []string{"board_asset_tag", "chassis_asset_tag"}},
	}
}

// Fingerprint returns a digest of what the node offers, equal in every process
// for the same content. Left out are values that come and go while the node
// stays what it is: the state, speed and configured functions of network
// devices, all virtual interfaces, block devices made by software; who the node
// is, by its name and serial numbers; and what is not a fact: origins, problems and
// the wording of causes. Two facts with one fingerprint may therefore still
// differ in those.
func (f *Facts) Fingerprint() string {
	f.digestOnce.Do(f.digest)
	return f.sum
}

// ChangedSets returns the sets that make the fingerprints of f and other
// differ, sorted.
func (f *Facts) ChangedSets(other *Facts) []string {
	f.digestOnce.Do(f.digest)
	other.digestOnce.Do(other.digest)
	var changed []string
	for _, set := range slices.Concat(slices.Collect(maps.Keys(f.digests)), slices.Collect(maps.Keys(other.digests))) {
		if f.digests[set] != other.digests[set] {
			changed = append(changed, set)
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed)
}

func (f *Facts) digest() {
	volatile := map[string]volatileSet{}
	for _, v := range volatileTable() {
		volatile[v.set] = v
	}
	content := map[string][]any{}
	add := func(set, kind string, value any) {
		v := volatile[set]
		if !v.whole || !v.ever && strings.HasPrefix(kind, "unknown") {
			content[set] = append(content[set], kind, value)
		}
	}
	// One kind after the other, so that a set of several kinds has one order.
	for set, elements := range f.flags {
		add(set, "flags", slices.Sorted(maps.Keys(elements)))
	}
	for set, elements := range f.attributes {
		add(set, "attributes", volatile[set].stable(elements))
	}
	for set, list := range f.instances {
		add(set, "instances", volatile[set].stableInstances(list))
	}
	for set, elements := range f.unknownElements {
		add(set, "unknown elements", slices.Sorted(maps.Keys(elements)))
	}
	for set, elements := range f.absent {
		add(set, "absent", slices.Sorted(maps.Keys(elements)))
	}
	for set := range f.unknownSets {
		add(set, "unknown", true)
	}
	f.digests = make(map[string]string, len(content))
	for set, parts := range content {
		f.digests[set] = sumJSON(parts)
	}
	f.sum = sumJSON([]any{f.os, f.arch, f.digests})
}

// stable returns the attributes without the volatile ones.
func (v volatileSet) stable(attributes map[string]string) map[string]string {
	if len(v.elements) == 0 {
		return attributes
	}
	attributes = maps.Clone(attributes)
	for _, element := range v.elements {
		delete(attributes, element)
	}
	return attributes
}

// stableInstances renders the instances without what is volatile, in an order
// of their own.
func (v volatileSet) stableInstances(list []map[string]string) []string {
	rendered := make([]string, 0, len(list))
	for _, instance := range list {
		if v.instances == nil || !v.instances(instance) {
			rendered = append(rendered, sumJSON(v.stable(instance)))
		}
	}
	slices.Sort(rendered)
	return rendered
}

// sumJSON digests the JSON of v, whose maps come out sorted by key.
func sumJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // cannot happen: v has only strings, lists and maps of strings
		data = fmt.Appendf(nil, "%v", err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data))
}

// isVirtualBlock reports whether a block device is made by software, which
// comes and goes with what runs on the node: images mounted in a loop, volumes
// mapped or attached over the network.
func isVirtualBlock(device map[string]string) bool {
	for _, prefix := range []string{"loop", "dm-", "md", "nbd", "rbd", "ram", "zram", "drbd"} {
		if number, ok := strings.CutPrefix(device["name"], prefix); ok && number != "" && number[0] >= '0' && number[0] <= '9' {
			return true
		}
	}
	return false
}
