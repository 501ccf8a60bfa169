package facts

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Change is one difference between the facts of two nodes, or of one node at
// two times.
type Change struct {
	// Kind is "+" for what only the later facts have, "-" for what only the
	// earlier ones have, and "~" for what differs.
	Kind string `json:"kind"`
	Set  string `json:"set"`
	// Element is empty for a whole set. Of an instance it is the name, and the
	// attribute behind a slash.
	Element string `json:"element,omitempty"`
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
}

// String returns the change as one line.
func (c Change) String() string {
	name := c.Set
	if c.Element != "" {
		name += " " + c.Element
	}
	switch {
	case c.Kind == "~":
		return c.Kind + " " + name + ": " + c.Before + " -> " + c.After
	case c.Before+c.After != "":
		return c.Kind + " " + name + ": " + c.Before + c.After
	default:
		return c.Kind + " " + name
	}
}

// Diff returns how after differs from before, sorted by set and element. Of a
// set that only one of them knows there is one change for the whole set. Where
// facts were read, and the wording of causes, make no difference.
func Diff(before, after *Facts) []Change {
	d := differ{before: before, after: after}
	d.platform("os", before.OS(), after.OS())
	d.platform("arch", before.Arch(), after.Arch())
	sets := slices.Concat(before.Features().Sets(), after.Features().Sets())
	slices.Sort(sets)
	for _, set := range slices.Compact(sets) {
		d.set(set)
	}
	slices.SortStableFunc(d.changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Element, b.Element), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Before+a.After, b.Before+b.After))
	})
	return d.changes
}

type differ struct {
	before, after *Facts
	changes       []Change
}

func (d *differ) add(kind, set, element, before, after string) {
	d.changes = append(d.changes, Change{Kind: kind, Set: set, Element: element, Before: before, After: after})
}

func (d *differ) platform(element, before, after string) {
	if before != after {
		d.add("~", "platform", element, cmp.Or(before, "unknown"), cmp.Or(after, "unknown"))
	}
}

func (d *differ) set(set string) {
	was, is := d.before.knows(set), d.after.knows(set)
	switch {
	case !was && !is:
		return
	case !was:
		d.add("~", set, "", "unknown", d.after.count(set))
		return
	case !is:
		d.add("~", set, "", d.before.count(set), "unknown")
		return
	}
	elements := map[string]struct{}{}
	for _, f := range []*Facts{d.before, d.after} {
		addKeys(elements, f.flags[set])
		addKeys(elements, f.attributes[set])
		addKeys(elements, f.unknownElements[set])
		addKeys(elements, f.absent[set])
	}
	for _, element := range slices.Sorted(maps.Keys(elements)) {
		d.element(set, element)
	}
	_, wasPart := d.before.unknownSets[set]
	_, isPart := d.after.unknownSets[set]
	switch {
	case wasPart && !isPart:
		d.add("~", set, "", "the rest unknown", "all known")
	case !wasPart && isPart:
		d.add("~", set, "", "all known", "the rest unknown")
	case !wasPart: // lists known in part are not compared
		d.instances(set)
	}
}

func addKeys[V any](to map[string]struct{}, from map[string]V) {
	for key := range from {
		to[key] = struct{}{}
	}
}

func (d *differ) element(set, element string) {
	was, is := d.before.Lookup(set, element), d.after.Lookup(set, element)
	switch {
	case was.State == is.State && was.Value == is.Value:
	case was.State == Absent && is.State == Present:
		d.add("+", set, element, "", is.Value)
	case was.State == Present && is.State == Absent:
		d.add("-", set, element, was.Value, "")
	default:
		d.add("~", set, element, was.Text(), is.Text())
	}
}

// Text returns the value of a fact, or its state where it has none.
func (f Fact) Text() string {
	if f.State == Present && f.Value != "" {
		return f.Value
	}
	return f.State.String()
}

// instances removes what both have. Of what is left, instances of the same name
// are one that changed.
func (d *differ) instances(set string) {
	was, is := slices.Clone(d.before.instances[set]), slices.Clone(d.after.instances[set])
	was = slices.DeleteFunc(was, func(instance map[string]string) bool {
		twin := slices.IndexFunc(is, func(other map[string]string) bool { return maps.Equal(instance, other) })
		if twin >= 0 {
			is = slices.Delete(is, twin, twin+1)
		}
		return twin >= 0
	})
	for _, instance := range was {
		name := instance["name"]
		twin := slices.IndexFunc(is, func(other map[string]string) bool { return name != "" && other["name"] == name })
		if twin < 0 {
			d.add("-", set, name, instanceText(instance), "")
			continue
		}
		d.attributes(set, name, instance, is[twin])
		is = slices.Delete(is, twin, twin+1)
	}
	for _, instance := range is {
		d.add("+", set, instance["name"], "", instanceText(instance))
	}
}

func (d *differ) attributes(set, name string, was, is map[string]string) {
	keys := map[string]struct{}{}
	addKeys(keys, was)
	addKeys(keys, is)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		before, had := was[key]
		after, has := is[key]
		switch {
		case had && has && before != after:
			d.add("~", set, name+"/"+key, before, after)
		case had && !has:
			d.add("-", set, name+"/"+key, before, "")
		case !had && has:
			d.add("+", set, name+"/"+key, "", after)
		}
	}
}

// instanceText returns the attributes besides the name.
func instanceText(instance map[string]string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(instance)) {
		if key != "name" {
			words = append(words, key+"="+instance[key])
		}
	}
	return strings.Join(words, " ")
}

// knows reports whether anything is known of a set.
func (f *Facts) knows(set string) bool {
	return f.hasElements(set) || f.HasInstances(set)
}

func (f *Facts) count(set string) string {
	return strconv.Itoa(len(f.flags[set])+len(f.attributes[set])+len(f.instances[set])) + " known"
}
