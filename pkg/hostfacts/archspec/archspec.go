// Package archspec names the micro-architecture of a CPU as archspec does, and
// says which of archspec's targets the CPU runs.
package archspec

import (
	"slices"
	"strings"
	"sync"
)

// genericVendor is the vendor of a micro-architecture that is not a product.
const genericVendor = "generic"

// microarch is one micro-architecture.
type microarch struct {
	name      string
	parents   []string
	vendor    string
	id        string   // as the table explains
	features  []string // with those of the ancestors
	ancestors []string // the parents first
	// specificity grows with the features.
	specificity int
}

// microarchs are all micro-architectures, ancestors first.
type microarchs struct {
	all    []microarch
	byName map[string]microarch
}

// load parses the table once; what it returns is never changed.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var load = sync.OnceValue(func() microarchs { return parse(table) })

// Known reports whether name is a micro-architecture of the table, so that its
// absence from the set cpu.archspec means that the CPU does not run it.
func Known(name string) bool {
	_, ok := load().byName[name]
	return ok
}

// Descends reports whether the named micro-architecture is the other one or
// descends from it.
func Descends(name, from string) bool {
	m, ok := load().byName[name]
	return ok && m.is(from)
}

// Ancestors returns the names of all micro-architectures that the named one
// descends from. It is empty for a family, such as x86_64, and for an unknown
// name.
func Ancestors(name string) []string {
	return slices.Clone(load().byName[name].ancestors)
}

// parse reads a table in the form of the constant of that name.
func parse(table string) microarchs {
	a := microarchs{byName: map[string]microarch{}}
	for line := range strings.Lines(table) {
		var columns [5]string
		for i, text := range strings.SplitN(line, "|", len(columns)) {
			columns[i] = strings.TrimSpace(text)
		}
		if columns[0] == "" {
			continue
		}
		m := microarch{
			name: columns[0], parents: strings.Fields(columns[1]), vendor: columns[2], id: columns[3],
			features: strings.Fields(columns[4]),
		}
		m.ancestors = slices.Clone(m.parents)
		for _, name := range m.parents {
			m.ancestors = addMissing(m.ancestors, a.byName[name].ancestors)
			m.features = addMissing(m.features, a.byName[name].features)
		}
		m.specificity = m.countFeatures()
		a.byName[m.name] = m
		a.all = append(a.all, m)
	}
	return a
}

func addMissing(list, more []string) []string {
	list = slices.Grow(list, len(more))
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// lineage returns the name and those of the ancestors.
func (m microarch) lineage() []string { return append([]string{m.name}, m.ancestors...) }

// is reports whether m is the named micro-architecture or descends from it.
func (m microarch) is(name string) bool {
	return m.name == name || slices.Contains(m.ancestors, name)
}

func (m microarch) isGeneric() bool { return m.vendor == genericVendor }

// Names returns the names of all micro-architectures of the table, in its order.
func Names() []string {
	var names []string
	for _, m := range load().all {
		names = append(names, m.name)
	}
	return names
}
