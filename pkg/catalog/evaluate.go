package catalog

import (
	"cmp"
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Node is a node, or a class of nodes, that images are evaluated on.
type Node struct {
	Name  string
	Facts *facts.Facts
}

// Matrix is images on nodes.
type Matrix struct {
	Nodes  []string     `json:"nodes"`
	Images []MatrixLine `json:"images"`
}

// MatrixLine is an image on all nodes.
type MatrixLine struct {
	Names    []string            `json:"names"`
	Digest   digest.Digest       `json:"digest"`
	Verdicts []placement.Verdict `json:"verdicts"` // in the order of the nodes
	needs    *decision.Needs
}

// Evaluate evaluates the images that an expression describes on nodes.
func (c *Catalog) Evaluate(ctx context.Context, e *placement.Evaluator, rules *decision.Rules, what *Expression, nodes []Node) (*Matrix, error) {
	images, err := c.Images(ctx, what, rules)
	if err != nil {
		return nil, err
	}
	needs := make([]*decision.Needs, len(images))
	for i, image := range images {
		needs[i] = image.Needs
	}
	dimensions := e.Dimensions(ctx, needs...)
	var classes []nodeclass.Class // that differ: most nodes are like others
	at, known := make([]int, len(nodes)), map[string]int{}
	m := &Matrix{Images: make([]MatrixLine, len(images))}
	for i, n := range nodes {
		class := nodeclass.Of(n.Facts, dimensions)
		place, ok := known[class.ID]
		if !ok {
			place, known[class.ID] = len(classes), len(classes)
			classes = append(classes, class)
		}
		at[i] = place
		m.Nodes = append(m.Nodes, n.Name)
	}
	rows, err := e.Match(ctx, needs, classes)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		verdicts := make([]placement.Verdict, len(nodes))
		for n := range nodes {
			verdicts[n] = row.Verdicts[at[n]]
		}
		m.Images[i] = MatrixLine{Names: images[i].Names, Digest: row.Index, Verdicts: verdicts, needs: needs[i]}
	}
	return m, nil
}

// Where returns the images for which a function is true.
func (m *Matrix) Where(keep func(l *MatrixLine) bool) *Matrix {
	kept := &Matrix{Nodes: m.Nodes, Images: []MatrixLine{}}
	for i := range m.Images {
		if keep(&m.Images[i]) {
			kept.Images = append(kept.Images, m.Images[i])
		}
	}
	return kept
}

// FitsSome reports whether the image runs on a node.
func (l *MatrixLine) FitsSome() bool { return l.some(selector.Fits) }

// FitsNone reports whether the image is known to run on none of the nodes.
func (l *MatrixLine) FitsNone() bool { return !l.some(selector.Fits) && !l.some(selector.Unknown) }

func (l *MatrixLine) some(o selector.Outcome) bool {
	return slices.ContainsFunc(l.Verdicts, func(v placement.Verdict) bool { return v.Outcome == o })
}

// WhatIf is what changes for an image when the facts of a node change.
type WhatIf struct {
	Names  []string          `json:"names"`
	Change string            `json:"change"` // stops, starts, worse, better, other, uncertain, certain
	Before placement.Verdict `json:"before"`
	After  placement.Verdict `json:"after"`
}

// Changes compares the first node of the matrix with the second one: what runs before
// and not after, what runs only after, and what runs in another variant, better or worse
// by the order in which a pull chooses. Images for which nothing changes are left out.
func (m *Matrix) Changes() []WhatIf {
	all := []WhatIf{}
	for i := range m.Images {
		l := &m.Images[i]
		before, after := l.Verdicts[0], l.Verdicts[1]
		var change string
		switch {
		case before.Outcome != selector.Unfit && after.Outcome == selector.Unfit:
			change = "stops"
		case before.Outcome == selector.Unfit && after.Outcome != selector.Unfit:
			change = "starts"
		case before.Outcome == selector.Fits && after.Outcome == selector.Unknown:
			change = "uncertain"
		case before.Outcome == selector.Unknown && after.Outcome == selector.Fits:
			change = "certain"
		case before.Digest == after.Digest:
			continue
		case before.Rank < after.Rank:
			change = "worse"
		case before.Rank > after.Rank:
			change = "better"
		default:
			change = "other"
		}
		all = append(all, WhatIf{l.Names, change, before, after})
	}
	order := map[string]int{"stops": 0, "uncertain": 1, "worse": 2, "other": 3, "better": 4, "certain": 5, "starts": 6}
	slices.SortStableFunc(all, func(a, b WhatIf) int { return cmp.Compare(order[a.Change], order[b.Change]) })
	return all
}

// Unchosen is a variant that no node chooses.
type Unchosen struct {
	Names    []string      `json:"names"`
	Platform string        `json:"platform,omitempty"`
	Variant  digest.Digest `json:"variant"`
	Size     int64         `json:"size,omitempty"`
}

// Unchosen lists the variants that none of the nodes chooses.
func (m *Matrix) Unchosen(rows []Row) []Unchosen {
	chosen := map[digest.Digest]map[digest.Digest]bool{}
	for i := range m.Images {
		l := &m.Images[i]
		if chosen[l.Digest] == nil {
			chosen[l.Digest] = map[digest.Digest]bool{}
		}
		for _, v := range l.Verdicts {
			chosen[l.Digest][v.Digest] = true
		}
	}
	all := []Unchosen{}
	place := map[[2]digest.Digest]int{}
	for _, r := range rows {
		if chosen[r.Digest] == nil || chosen[r.Digest][r.Variant] {
			continue
		}
		key := [2]digest.Digest{r.Digest, r.Variant}
		i, known := place[key]
		if !known {
			i, place[key] = len(all), len(all)
			all = append(all, Unchosen{Platform: r.Platform, Variant: r.Variant, Size: r.Size})
		}
		if !slices.Contains(all[i].Names, r.Name) {
			all[i].Names = append(all[i].Names, r.Name)
		}
	}
	return all
}

// Ranked is an image on one node, among others.
type Ranked struct {
	Name     string           `json:"name"`
	Platform string           `json:"platform,omitempty"`
	Variant  digest.Digest    `json:"variant,omitempty"`
	Outcome  selector.Outcome `json:"outcome"`
	Reason   string           `json:"reason"`
}

// Best ranks the images that an expression describes on a node, the best first, in the
// order in which a pull would choose among them if they were one image. Those that do not
// fit are left out.
func (c *Catalog) Best(ctx context.Context, e *decision.Evaluator, rules *decision.Rules, what *Expression, node *facts.Facts) ([]Ranked, error) {
	images, err := c.Images(ctx, what, rules)
	if err != nil {
		return nil, err
	}
	session := e.Session(decision.Snapshot{Rules: rules, Facts: node})
	var found []Ranked
	var quality []selector.Candidate
	for _, image := range images {
		d, err := session.Decide(ctx, image.Needs)
		if err != nil {
			return nil, err
		}
		if d.Choice == decision.None {
			continue
		}
		choice := d.Candidates[d.Choice]
		for _, name := range image.Names {
			found = append(found, Ranked{Name: name, Platform: choice.Platform, Variant: choice.Digest, Outcome: choice.Outcome, Reason: d.Reason})
			quality = append(quality, d.Ordered(d.Choice))
		}
	}
	ranked := []Ranked{}
	for _, i := range selector.Order(quality) {
		ranked = append(ranked, found[i])
	}
	return ranked, nil
}

// Split splits the nodes of a matrix, so that the ranks of both parts can be compared.
func (m *Matrix) Split(at int) (first, second *Matrix) {
	first, second = &Matrix{Nodes: m.Nodes[:at]}, &Matrix{Nodes: m.Nodes[at:]}
	for _, l := range m.Images {
		a, b := l, l
		a.Verdicts, b.Verdicts = l.Verdicts[:at], l.Verdicts[at:]
		first.Images, second.Images = append(first.Images, a), append(second.Images, b)
	}
	return first, second
}
