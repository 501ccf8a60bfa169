package spec

import (
	"embed"
	"fmt"
	"slices"
)

//go:embed specs/*.toml
var embedded embed.FS

// Embedded returns the compatibility specs that come with imagefit. Those that
// speak for any group come last.
func Embedded() ([]Spec, error) {
	entries, err := embedded.ReadDir("specs")
	if err != nil {
		return nil, err
	}
	var specs []Spec
	for _, entry := range entries {
		name := "specs/" + entry.Name()
		text, err := embedded.ReadFile(name)
		if err != nil {
			return nil, err
		}
		spec, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read compatibility spec %s: %w", name, err)
		}
		spec.Source = "embedded " + name
		specs = append(specs, spec)
	}
	specificFirst(specs)
	return specs, nil
}

// With returns the embedded compatibility specs together with those of an
// operator, in the order in which they are asked: the operator's first. Of several
// specs of one name only one applies: the operator's before the embedded, and of
// the operator's the last.
func With(own []Spec) ([]Spec, error) {
	all, err := Embedded()
	if err != nil {
		return nil, err
	}
	var kept []Spec
	for _, spec := range own {
		kept = append(without(kept, spec.Name), spec)
		all = without(all, spec.Name)
	}
	all = append(kept, all...)
	specificFirst(all)
	return all, nil
}

func without(specs []Spec, name string) []Spec {
	return slices.DeleteFunc(specs, func(s Spec) bool { return s.Name == name })
}

func specificFirst(specs []Spec) {
	rank := map[bool]int{false: 0, true: 1}
	slices.SortStableFunc(specs, func(a, b Spec) int { return rank[a.IsGeneral()] - rank[b.IsGeneral()] })
}
