package hostfacts

import (
	"slices"
	"strings"
	"sync"
)

// genericVendor is the vendor of a micro-architecture that is nobody's product.
const genericVendor = "generic"

// microarch is one micro-architecture of archspec's.
type microarch struct {
	name      string
	parents   []string
	vendor    string
	id        string   // as archspecTable explains
	features  []string // with those of the ancestors
	ancestors []string // the parents first
}

// archspecs are all micro-architectures, ancestors first.
type archspecs struct {
	all    []microarch
	byName map[string]int // index into all
}

// loadArchspecs reads archspecTable once; what it returns is never changed.
var loadArchspecs = sync.OnceValue(func() archspecs { return parseArchspecs(archspecTable) })

// KnownArchspec reports whether name is the archspec name of a
// micro-architecture, so that its absence from the set cpu.archspec means that
// the CPU neither is one nor descends from it.
func KnownArchspec(name string) bool {
	_, ok := loadArchspecs().byName[name]
	return ok
}

// ArchspecAncestors returns the archspec names of all micro-architectures that
// the named one descends from: what is built for one of them runs on it. It is
// empty for a family, such as x86_64, and for an unknown name.
func ArchspecAncestors(name string) []string {
	m, _ := loadArchspecs().find(name)
	return slices.Clone(m.ancestors)
}

func (a archspecs) find(name string) (microarch, bool) {
	i, ok := a.byName[name]
	if !ok {
		return microarch{}, false
	}
	return a.all[i], true
}

// parseArchspecs reads a table in the form of archspecTable.
func parseArchspecs(table string) archspecs {
	a := archspecs{byName: map[string]int{}}
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
			parent, _ := a.find(name)
			m.ancestors = addMissing(m.ancestors, parent.ancestors)
			m.features = addMissing(m.features, parent.features)
		}
		a.byName[m.name] = len(a.all)
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

// family returns the oldest ancestor.
func (m microarch) family() string {
	for _, name := range m.ancestors {
		if ancestor, ok := loadArchspecs().find(name); ok && len(ancestor.ancestors) == 0 {
			return name
		}
	}
	return m.name
}
