package nodeclass

import (
	"maps"
	"slices"

	"github.com/imagefit/imagefit/pkg/compat"
)

// Whole stands for all elements of a set, where an image asks for any of them by a
// pattern.
const Whole = "*"

// maxElements bounds the elements of a set that classes tell apart; where images ask for
// more, it is the whole set.
const maxElements = 256

// ruleMatched is the set of what an image's own requirements define.
const ruleMatched = "rule.matched"

// Dimensions are the facts that images ask for beyond those that every class has: of
// each set the elements, sorted. A class answers what its dimensions have; to all else
// the answer is unknown.
type Dimensions map[string][]string

// Asked returns the dimensions that requirements ask for.
func Asked(reqs []compat.Requirement) Dimensions {
	d := Dimensions{}
	d.Add(reqs)
	return d
}

// Add adds what requirements ask for.
func (d Dimensions) Add(reqs []compat.Requirement) {
	compat.Walk(reqs, func(r *compat.Requirement) {
		d.terms(r.Set, r.Terms)
		if r.Name != nil {
			d.element(r.Set, Whole)
		}
		for i := range r.May {
			d.terms(r.May[i].Set, r.May[i].Terms)
		}
		if r.Each != nil {
			for _, element := range append([]string{r.Each.Element}, r.Each.Elements...) {
				d.element(r.Each.Devices, element)
			}
		}
		if r.Newer != nil {
			d.element(r.Newer.Set, r.Newer.Element)
		}
	})
}

// Merge adds other dimensions.
func (d Dimensions) Merge(other Dimensions) {
	for set, elements := range other {
		for _, element := range elements {
			d.element(set, element)
		}
	}
}

// Has reports whether nothing of other is missing.
func (d Dimensions) Has(other Dimensions) bool {
	for set, elements := range other {
		for _, element := range elements {
			if !d.has(set, element) {
				return false
			}
		}
	}
	return true
}

// Wants reports whether classes have anything of a set.
func (d Dimensions) Wants(set string) bool {
	return len(d[set]) > 0 || slices.ContainsFunc(base(), func(s selection) bool { return s.set == set })
}

// Clone returns a copy.
func (d Dimensions) Clone() Dimensions {
	copied := maps.Clone(d)
	for set, elements := range copied {
		copied[set] = slices.Clone(elements)
	}
	return copied
}

func (d Dimensions) terms(set string, terms []compat.Term) {
	for i := range terms {
		d.element(set, terms[i].Element)
	}
}

func (d Dimensions) has(set, element string) bool {
	return isBase(set, element) || slices.Equal(d[set], []string{Whole}) || slices.Contains(d[set], element)
}

func (d Dimensions) element(set, element string) {
	if set == "" || set == ruleMatched || d.has(set, element) {
		return
	}
	at, _ := slices.BinarySearch(d[set], element)
	d[set] = slices.Insert(d[set], at, element)
	if element == Whole || len(d[set]) > maxElements {
		d[set] = []string{Whole}
	}
}

// isBase reports whether every class has the element.
func isBase(set, element string) bool {
	for _, s := range base() {
		if s.set != set {
			continue
		}
		if len(s.only) > 0 {
			return slices.Contains(s.only, element)
		}
		return len(s.except) == 0 || element != Whole && !slices.Contains(s.except, element)
	}
	return false
}

// selections are base and dimensions together.
func (d Dimensions) selections() []selection {
	all := base()
	for set, asked := range d {
		i := slices.IndexFunc(all, func(s selection) bool { return s.set == set })
		whole := slices.Equal(asked, []string{Whole})
		switch {
		case i < 0 && whole:
			all = append(all, selection{set: set})
		case i < 0:
			all = append(all, selection{set: set, only: asked})
		case whole:
			all[i] = selection{set: set}
		case len(all[i].only) > 0:
			all[i].only = slices.Sorted(slices.Values(slices.Concat(all[i].only, asked)))
		default:
			all[i].except = slices.DeleteFunc(slices.Clone(all[i].except), func(e string) bool { return slices.Contains(asked, e) })
		}
	}
	return all
}
