package spec

import (
	"slices"

	"github.com/imagefit/imagefit/pkg/compat"
)

// Interpreter turns attributes into requirements by compatibility specs.
type Interpreter struct{ specs []Spec }

// NewInterpreter returns an interpreter that asks the specs in order.
func NewInterpreter(specs []Spec) *Interpreter { return &Interpreter{specs: specs} }

// Requirements returns what the attributes ask for. An attribute that no spec
// knows, or whose value makes no sense for it, becomes a requirement that is
// Unclear: it is never dropped, for its author meant something by it.
//
// Attributes that a spec joins make one requirement. Those below a node that is
// their precondition follow it in one AllOf that is pruned.
func (in *Interpreter) Requirements(attributes []compat.Attribute) []compat.Requirement {
	answers := make([]answer, 0, len(attributes))
	joined := map[nodeKey]int{}
	for _, a := range attributes {
		s, ok := in.find(a)
		if !ok {
			answers = append(answers, answer{req: compat.Requirement{Key: a.Name(), Unclear: "no compatibility spec knows this attribute"}})
			continue
		}
		if s.node.Join == "" {
			answers = append(answers, answer{attributes: []boundAttribute{s}})
			continue
		}
		join := nodeKey{group: a.Group, spec: s.spec, name: s.node.Join}
		at, ok := joined[join]
		if !ok {
			at = len(answers)
			joined[join] = at
			answers = append(answers, answer{})
		}
		answers[at].attributes = append(answers[at].attributes, s)
	}
	for i := range answers {
		answers[i].decide()
	}
	return prune(answers, 0)
}

func (in *Interpreter) find(a compat.Attribute) (boundAttribute, bool) {
	for i := range in.specs {
		if node, rest, ok := in.specs[i].find(a); ok {
			return boundAttribute{Attribute: a, spec: &in.specs[i], node: node, rest: rest}, true
		}
	}
	return boundAttribute{}, false
}

// boundAttribute is an attribute together with the node of the spec that defines
// it.
type boundAttribute struct {
	compat.Attribute
	spec *Spec
	node *Node
	rest string // what the "*" of the node's key matched
}

// answer is the requirement of one attribute, or of several joined ones.
type answer struct {
	attributes []boundAttribute // none where no spec knows the attribute
	req        compat.Requirement
	without    bool // the image states that it does without this
}

// nodeKey names a node, or a join of nodes, for the attributes of one group.
type nodeKey struct {
	group string
	spec  *Spec
	name  string
}

func (a *answer) decide() {
	if len(a.attributes) == 0 {
		return
	}
	first := a.attributes[0]
	switch {
	case first.node.Part > 0:
		a.req = partsRequirement(a.attributes)
	case first.node.Match == matchABI:
		a.req = abiRequirement(a.attributes)
	case first.node.Match == matchRelease:
		a.req = releaseRequirement(a.attributes)
	case first.node.Join != "":
		a.req = joinedRequirement(a.attributes)
	default:
		a.req = first.requirement()
		a.without = first.without()
	}
}

// preconditions are the nodes without which this answer means nothing, the
// highest first. A node that has others below is its own precondition, too.
func (a *answer) preconditions() []*Node {
	if len(a.attributes) == 0 {
		return nil
	}
	s := a.attributes[0]
	var path []*Node
	hasChildren := slices.ContainsFunc(s.spec.Nodes, func(child Node) bool { return child.Parent == s.node.Name })
	if s.node.isPrecondition() && hasChildren {
		path = append(path, s.node)
	}
	for n := s.spec.node(s.node.Parent); n != nil; n = s.spec.node(n.Parent) {
		if n.isPrecondition() {
			path = append(path, n)
		}
	}
	slices.Reverse(path)
	return path
}

// isPrecondition reports whether a node that lacks this one can have nothing of
// what is below.
func (n *Node) isPrecondition() bool { return n.Type == "bool" && n.Fact != "" && n.Join == "" }

// prune puts the answers below a precondition together with it, so that the whole
// sub-graph is decided where the precondition is not met.
func prune(answers []answer, depth int) []compat.Requirement {
	below := map[nodeKey][]answer{}
	for _, a := range answers {
		if key, ok := a.precondition(depth); ok {
			below[key] = append(below[key], a)
		}
	}
	reqs := make([]compat.Requirement, 0, len(answers))
	for _, a := range answers {
		key, ok := a.precondition(depth)
		if !ok {
			reqs = append(reqs, a.req)
			continue
		}
		reqs = append(reqs, key.requirements(below[key], depth)...)
		delete(below, key)
	}
	return reqs
}

func (a *answer) precondition(depth int) (nodeKey, bool) {
	path := a.preconditions()
	if depth >= len(path) {
		return nodeKey{}, false
	}
	return nodeKey{group: a.attributes[0].Group, spec: a.attributes[0].spec, name: path[depth].Name}, true
}

func (k nodeKey) requirements(members []answer, depth int) []compat.Requirement {
	var own []compat.Requirement
	var rest []answer
	without := false
	for _, m := range members {
		if m.attributes[0].node.Name == k.name {
			own = append(own, m.req)
			without = without || m.without
		} else {
			rest = append(rest, m)
		}
	}
	parts := prune(rest, depth+1)
	important := compat.Informative
	for _, part := range parts {
		important = min(important, part.Importance)
	}
	node := k.spec.node(k.name)
	switch {
	case without: // what is below of something that the image does without
		for i := range parts {
			parts[i].Importance = compat.Informative
		}
		fallthrough
	case important == compat.Informative: // nothing to decide
		return append(own, parts...)
	case len(own) == 0: // the image only implies it, by what is below
		a := compat.Attribute{Group: k.group, Key: k.name, Value: "true", Kind: compat.Bool}
		implied := boundAttribute{Attribute: a, spec: k.spec, node: node}.requirement()
		implied.Importance, implied.Weight = important, 0
		own = append(own, implied)
	}
	return []compat.Requirement{{
		Key: k.group + "/" + k.name, Title: node.Description,
		Combine: compat.AllOf, Prune: true, Parts: append(own, parts...),
	}}
}
