package decision

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// Priorities are the properties that the author of an index prefers, the most
// important first.
type Priorities struct {
	Properties []string `json:"properties,omitempty"`
	Problem    string   `json:"problem,omitempty"` // why there are none

	list   []dialect.Property
	asked  [][]compat.Requirement // what each asks of a node, where it asks for something
	wanted conditions             // of all of them
}

// readPriorities reads the annotation of an index. One that cannot be read does not
// matter to the order.
func readPriorities(annotation string) *Priorities {
	if annotation == "" {
		return nil
	}
	list, err := dialect.ParseProperties(annotation)
	if err != nil {
		return &Priorities{Problem: Line(err.Error())}
	}
	p := &Priorities{list: list}
	for _, property := range list {
		p.Properties = append(p.Properties, Line(property.String()))
	}
	return p
}

// compared returns the priorities, ready to be compared with what candidates require,
// or nil where there is none.
func (p *Priorities) compared(in *spec.Interpreter) *Priorities {
	if p == nil || len(p.list) == 0 {
		return nil
	}
	p.asked, p.wanted = make([][]compat.Requirement, len(p.list)), conditions{}
	for i, property := range p.list {
		p.asked[i] = in.Requirements([]compat.Attribute{property.Attribute()})
		for j := range p.asked[i] {
			p.wanted.add(&p.asked[i][j], nil)
		}
		if level, ok := levelOf(property); ok {
			p.wanted[condition(&level)] = true
		}
	}
	return p
}

// conditionsOf returns the conditions of the requirements as far as they are compared.
func (p *Priorities) conditionsOf(reqs []compat.Requirement) conditions {
	requires := conditions{}
	for i := range reqs {
		requires.add(&reqs[i], p.wanted)
	}
	return requires
}

// setPriorities finds which of the author's properties a candidate has: those that its
// entry states, and those that ask for nothing that the candidate does not require.
func (c *Candidate) setPriorities(p *Priorities, requires conditions) {
	if p == nil {
		return
	}
	stated, _ := dialect.ParseProperties(c.stated) // what cannot be read states nothing
	for i, property := range p.list {
		has := slices.Contains(stated, property) || requires.all(p.asked[i]) || requires.hasLevel(property)
		if property.IsNull() {
			has = len(requires) == 0 && len(stated) == 0
		}
		if has {
			c.places, c.Properties = append(c.places, i), append(c.Properties, p.Properties[i])
		}
	}
}

// maxConditionValues bounds the values of a condition that is compared.
const maxConditionValues = 8

// conditions are what must hold for a requirement, each on its own.
type conditions map[string]bool

// others stands for all conditions that are not wanted: a candidate may have thousands.
const others = "others"

// add adds the conditions of a requirement: as they are, or those that are wanted. What is
// an alternative or negated is one that no property asks for.
func (c conditions) add(r *compat.Requirement, wanted conditions) {
	switch {
	case r.Importance != compat.Required:
	case r.Combine == compat.AllOf && !r.Not && r.Unclear == "":
		for i := range r.Parts {
			c.add(&r.Parts[i], wanted)
		}
	default:
		one := condition(r)
		if wanted != nil && !wanted[one] {
			one = others
		}
		c[one] = true
	}
}

// and returns the conditions of both.
func (c conditions) and(d conditions) conditions {
	if c == nil {
		return d
	}
	both := maps.Clone(c)
	maps.Copy(both, d)
	return both
}

// condition writes a requirement so that equal ones are equal texts.
func condition(r *compat.Requirement) string {
	if r.Combine != compat.Leaf || r.Not || r.Unclear != "" || r.Name != nil {
		return r.Key
	}
	var b strings.Builder
	b.WriteString(r.Set)
	for _, t := range r.Terms {
		b.WriteString("|" + t.Element + "|" + string(t.Op) + strconv.Itoa(len(t.Values)))
		for _, v := range t.Values[:min(len(t.Values), maxConditionValues)] {
			b.WriteString("|" + v)
		}
	}
	return b.String()
}

// all reports whether all that is asked for is among the conditions. What asks for
// nothing, or for what no fact can decide, is not.
func (c conditions) all(asked []compat.Requirement) bool {
	wanted := conditions{}
	for i := range asked {
		if asked[i].Unclear != "" {
			return false
		}
		wanted.add(&asked[i], nil)
	}
	for condition := range wanted {
		if !c[condition] {
			return false
		}
	}
	return len(wanted) > 0
}

// hasLevel reports whether the property is the level that the platform of the entry
// states.
func (c conditions) hasLevel(p dialect.Property) bool {
	level, ok := levelOf(p)
	return ok && c[condition(&level)]
}

// levelOf is what a property that is a level asks for.
func levelOf(p dialect.Property) (compat.Requirement, bool) {
	if p.Namespace != "x86_64" || p.Feature != "level" {
		return compat.Requirement{}, false
	}
	return levelRequirement(strings.TrimPrefix(p.Value, "v")), true
}
