package hostfacts

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Fingerprint returns a digest of what the node offers, equal in every process
// for the same content. Left out are values that come and go while the node
// stays what it is: the state, speed and configured functions of network
// devices, all virtual interfaces, and the wording of causes. Two facts with
// one fingerprint may therefore still differ in those.
func (f *Facts) Fingerprint() string {
	f.digestOnce.Do(f.digest)
	return f.sum
}

// changedSets returns the sets that make the fingerprints of f and other
// differ, sorted.
func (f *Facts) changedSets(other *Facts) []string {
	f.digestOnce.Do(f.digest)
	other.digestOnce.Do(other.digest)
	var changed []string
	for set, sum := range f.digests {
		if other.digests[set] != sum {
			changed = append(changed, set)
		}
	}
	for set := range other.digests {
		if _, ok := f.digests[set]; !ok {
			changed = append(changed, set)
		}
	}
	slices.Sort(changed)
	return changed
}

func (f *Facts) digest() {
	content := map[string][]any{}
	add := func(set, kind string, value any) {
		content[set] = append(content[set], kind, value)
	}
	// One kind after the other, so that a set of several kinds has one order.
	for set, elements := range f.flags {
		add(set, "flags", slices.Sorted(maps.Keys(elements)))
	}
	for set, elements := range f.attributes {
		add(set, "attributes", elements)
	}
	for set, list := range f.instances {
		if set != "network.virtual" {
			add(set, "instances", stableInstances(set, list))
		}
	}
	for set, elements := range f.unknownElements {
		add(set, "unknown elements", slices.Sorted(maps.Keys(elements)))
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

// stableInstances renders the instances without their volatile attributes, in
// an order of their own.
func stableInstances(set string, list []map[string]string) []string {
	rendered := make([]string, 0, len(list))
	for _, instance := range list {
		if set == "network.device" {
			instance = maps.Clone(instance)
			for _, volatile := range []string{"operstate", "speed", "sriov_numvfs"} {
				delete(instance, volatile)
			}
		}
		rendered = append(rendered, sumJSON(instance))
	}
	slices.Sort(rendered)
	return rendered
}

// sumJSON digests the JSON of v, whose maps come out sorted by key.
func sumJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // strings, lists and maps of strings only: cannot be
		data = fmt.Appendf(nil, "%v", err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data))
}
