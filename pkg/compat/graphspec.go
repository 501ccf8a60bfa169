package compat

import "go.yaml.in/yaml/v3"

const (
	maxGraphDepth = 64
	maxGraphParts = 10_000
)

// graphDialect is Proposal B: compatibilities, and graphs that say how they
// depend on each other.
func graphDialect() Dialect {
	return Dialect{
		Name:          "proposal-b",
		ArtifactTypes: []string{ArtifactType},
		LayerTypes:    []string{LayerTypeOutline},
		Claims: func(body []byte) bool {
			root, err := parseJSON(body)
			return err == nil && field(root, "spec") != nil
		},
		Parse: ParseGraphSpec,
	}
}

// ParseGraphSpec reads the body of Proposal B:
//
//	{spec: {compatibilities: [{id, domain, attributes}], relations:
//	  {graphs: {NAME: {edges: [{from, to: {compatibilities, condition}}]}},
//	   validationCriteria: [{graphs, condition}]}}}
//
// Without relations all compatibilities hold. With them the criteria do: a
// graph holds where the compatibilities that no edge leads to hold, and for
// each that is reached, its edges do.
func ParseGraphSpec(in *Interpreter, body []byte) ([]Requirement, error) {
	root, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	p := &graphParser{in: in, asked: map[string]Requirement{}, graphs: map[string]*graphEdges{}}
	var spec *yaml.Node
	err = eachField(root, "the document", func(key, value *yaml.Node) error {
		if key.Value != "spec" {
			return unknownKey(key, "the document", "spec")
		}
		spec = value
		return nil
	})
	if err == nil && spec == nil {
		err = nodeError(root, `key "spec" is missing`)
	}
	if err != nil {
		return nil, err
	}
	return p.spec(spec)
}

type graphParser struct {
	in     *Interpreter
	ids    []string // in the order of the document
	asked  map[string]Requirement
	graphs map[string]*graphEdges
	parts  int // made so far: a small graph can have very many paths
}

// graphEdges is one graph: for each compatibility the edges that leave it.
type graphEdges struct {
	from  []string
	edges map[string][]graphEdge
	into  map[string]bool
}

type graphEdge struct {
	to        []string
	condition Combine
	at        *yaml.Node
}

func (p *graphParser) spec(n *yaml.Node) ([]Requirement, error) {
	var list, relations *yaml.Node
	err := eachField(n, "spec", func(key, value *yaml.Node) error {
		switch key.Value {
		case "compatibilities":
			list = value
		case "relations":
			relations = value
		default:
			return unknownKey(key, "spec", "compatibilities", "relations")
		}
		return nil
	})
	if err == nil && list == nil {
		err = nodeError(n, `key "compatibilities" is missing`)
	}
	if err != nil {
		return nil, err
	}
	entries, err := listOf(list, "compatibilities")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if err := p.compatibility(entry); err != nil {
			return nil, err
		}
	}
	if relations != nil {
		return p.relations(relations)
	}
	reqs := make([]Requirement, 0, len(p.ids))
	for _, id := range p.ids {
		reqs = append(reqs, p.asked[id])
	}
	return reqs, nil
}

func (p *graphParser) compatibility(n *yaml.Node) error {
	const what = "a compatibility"
	var attributes *yaml.Node
	id, domain := "", ""
	err := eachField(n, what, func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "id":
			id, err = scalarOf(value, "id")
		case "domain":
			domain, err = scalarOf(value, "domain")
		case "attributes":
			attributes = value
		case "annotations":
			err = eachField(value, "annotations", func(_, _ *yaml.Node) error { return nil })
		default:
			err = unknownKey(key, what, "id", "domain", "attributes", "annotations")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case id == "" || domain == "" || attributes == nil:
		return nodeError(n, "a compatibility needs id, domain and attributes")
	case p.has(id):
		return nodeError(n, "the id %s is there twice", quoted(id))
	}
	asks, err := attributesOf(domain, attributes, "the attributes of "+quoted(id))
	if err != nil {
		return err
	}
	p.ids = append(p.ids, id)
	p.asked[id] = Requirement{Key: shortened(id), Title: shortened(id), Combine: AllOf, Parts: p.in.Requirements(asks)}
	return nil
}

func (p *graphParser) has(id string) bool {
	_, ok := p.asked[id]
	return ok
}
