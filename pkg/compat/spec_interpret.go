package compat

import "slices"

// Interpreter turns attributes into requirements by compatibility specs.
type Interpreter struct{ specs []Spec }

// NewInterpreter returns an interpreter that asks the specs in order.
func NewInterpreter(specs []Spec) *Interpreter { return &Interpreter{specs: specs} }

// Requirements returns what the attributes ask for. An attribute that no spec
// knows, or whose value makes no sense for it, becomes a requirement that is
// Unclear: it is never dropped, for its author meant something by it.
//
// Attributes that a spec joins make one requirement, and those below a node
// that decides over them stand with it in one AllOf that is pruned.
func (in *Interpreter) Requirements(attributes []Attribute) []Requirement {
	answers := make([]answer, 0, len(attributes))
	joined := map[gate]int{}
	for _, a := range attributes {
		s, ok := in.find(a)
		if !ok {
			answers = append(answers, answer{req: Requirement{Key: a.Name(), Unclear: "no compatibility spec knows this attribute"}})
			continue
		}
		if s.node.Join == "" {
			answers = append(answers, answer{said: []said{s}})
			continue
		}
		join := gate{group: a.Group, spec: s.spec, name: s.node.Join}
		at, ok := joined[join]
		if !ok {
			at = len(answers)
			joined[join] = at
			answers = append(answers, answer{})
		}
		answers[at].said = append(answers[at].said, s)
	}
	for i := range answers {
		answers[i].decide()
	}
	return prune(answers, 0)
}

func (in *Interpreter) find(a Attribute) (said, bool) {
	for i := range in.specs {
		if node, rest, ok := in.specs[i].find(a); ok {
			return said{Attribute: a, spec: &in.specs[i], node: node, rest: rest}, true
		}
	}
	return said{}, false
}

// said is an attribute together with what a spec says of it.
type said struct {
	Attribute
	spec *Spec
	node *Node
	rest string // what the "*" of the node's key stands for
}

// answer is the requirement that one attribute, or several joined ones, make.
type answer struct {
	said    []said // none where no spec knows the attribute
	req     Requirement
	without bool // the image says that it does without this
}

// gate is a node that decides over others, for the attributes of one group.
type gate struct {
	group string
	spec  *Spec
	name  string
}

func (a *answer) decide() {
	if len(a.said) == 0 {
		return
	}
	first := a.said[0]
	switch {
	case first.node.Part > 0:
		a.req = partsRequirement(a.said)
	case first.node.Match == matchABI:
		a.req = abiRequirement(a.said)
	case first.node.Match == matchRelease:
		a.req = releaseRequirement(a.said)
	case first.node.Join != "":
		a.req = joinedRequirement(a.said)
	default:
		a.req = first.requirement()
		a.without = first.without()
	}
}

// gates are the nodes that decide over this answer, the highest first. A node
// that others are below of decides over itself, too.
func (a *answer) gates() []*Node {
	if len(a.said) == 0 {
		return nil
	}
	s := a.said[0]
	var path []*Node
	if s.node.decides() && s.spec.hasChildren(s.node) {
		path = append(path, s.node)
	}
	for n := s.spec.node(s.node.Parent); n != nil; n = s.spec.node(n.Parent) {
		if n.decides() {
			path = append(path, n)
		}
	}
	slices.Reverse(path)
	return path
}

// decides tells a node of which nothing below can be there where it is not.
func (n *Node) decides() bool { return n.Type == "bool" && n.Fact != "" && n.Join == "" }

func (s *Spec) hasChildren(n *Node) bool {
	return slices.ContainsFunc(s.Nodes, func(child Node) bool { return child.Parent == n.Name })
}

// prune puts the answers below a gate together with it, so that the whole
// sub-graph is settled where the gate does not hold.
func prune(answers []answer, depth int) []Requirement {
	below := map[gate][]answer{}
	for _, a := range answers {
		if g, ok := a.gate(depth); ok {
			below[g] = append(below[g], a)
		}
	}
	reqs := make([]Requirement, 0, len(answers))
	for _, a := range answers {
		g, ok := a.gate(depth)
		if !ok {
			reqs = append(reqs, a.req)
			continue
		}
		reqs = append(reqs, g.requirements(below[g], depth)...)
		delete(below, g)
	}
	return reqs
}

func (a *answer) gate(depth int) (gate, bool) {
	path := a.gates()
	if depth >= len(path) {
		return gate{}, false
	}
	return gate{group: a.said[0].Group, spec: a.said[0].spec, name: path[depth].Name}, true
}

func (g gate) requirements(members []answer, depth int) []Requirement {
	var own, rest []answer
	without := false
	for _, m := range members {
		if m.said[0].node.Name == g.name {
			own = append(own, m)
			without = without || m.without
		} else {
			rest = append(rest, m)
		}
	}
	parts := prune(rest, depth+1)
	important := mostImportant(parts)
	switch {
	case without: // what is said below of something that the image does without
		for i := range parts {
			parts[i].Importance = Informative
		}
		fallthrough
	case important == Informative: // nothing to settle
		return append(plain(own), parts...)
	case len(own) == 0:
		own = []answer{g.implied(important)}
	}
	return []Requirement{{
		Key: g.group + "/" + g.name, Title: g.spec.node(g.name).Description,
		Combine: AllOf, Prune: true, Parts: append(plain(own), parts...),
	}}
}

// implied is the gate's own requirement where the image says only what is below
// of it.
func (g gate) implied(importance Importance) answer {
	node := g.spec.node(g.name)
	a := Attribute{Group: g.group, Key: g.name, Value: "true", Kind: Bool}
	req := said{Attribute: a, spec: g.spec, node: node}.requirement()
	req.Importance, req.Weight = importance, 0
	return answer{req: req}
}

func mostImportant(reqs []Requirement) Importance {
	importance := Informative
	for _, r := range reqs {
		importance = min(importance, r.Importance)
	}
	return importance
}

func plain(answers []answer) []Requirement {
	reqs := make([]Requirement, 0, len(answers))
	for _, a := range answers {
		reqs = append(reqs, a.req)
	}
	return reqs
}
