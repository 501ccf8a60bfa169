package whatif

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/selector"
)

// maxFailing bounds the requirements that are listed of one image on one host.
const maxFailing = 12

// Host is a host, as it is or as it would be.
type Host struct {
	Name  string
	Facts *facts.Facts
	// Before, where set, is the host before the change. It is set for all hosts or none.
	Before *facts.Facts
}

// Image is an image, and what it needs, or why that cannot be read.
type Image struct {
	Name  string
	Needs *decision.Needs
	Err   error
}

// Evaluator evaluates images on hosts, by one state of the rules.
type Evaluator struct {
	Decisions *decision.Evaluator
	Rules     *decision.Rules
}

// pair is the class of a host, and that before the change.
type pair struct{ now, before int }

// Evaluate evaluates all images on all hosts. The error is that of the context.
func (e Evaluator) Evaluate(ctx context.Context, images []Image, hosts []Host) (*Grid, error) {
	g := &Grid{of: make([]int, len(hosts)), cells: make([][]Cell, len(images))}
	var needs []*decision.Needs
	rowOf := make([]int, len(images))
	for i, image := range images {
		g.Images = append(g.Images, image.Name)
		if rowOf[i] = -1; image.Err == nil {
			rowOf[i] = len(needs)
			needs = append(needs, image.Needs)
		}
	}
	placed := placement.New(e.Decisions, e.Rules)
	classes, pairs := g.classify(hosts, placed.Dimensions(ctx, needs...))
	rows, err := placed.Match(ctx, needs, classes)
	if err != nil {
		return nil, err
	}
	why, err := e.failing(ctx, needs, classes, rows)
	if err != nil {
		return nil, err
	}
	for i, image := range images {
		g.cells[i] = make([]Cell, len(pairs))
		for p, classes := range pairs {
			g.cells[i][p] = cellOf(image, rowOf[i], classes, rows, why)
		}
	}
	return g, nil
}

// classify sets the hosts of the grid, and returns their classes and the different pairs
// of them.
func (g *Grid) classify(hosts []Host, d nodeclass.Dimensions) (classes []nodeclass.Class, pairs []pair) {
	numbers, columns := map[string]int{}, map[pair]int{}
	number := func(f *facts.Facts) int {
		class := nodeclass.Of(f, d)
		n, known := numbers[class.ID]
		if !known {
			n = len(classes)
			numbers[class.ID] = n
			classes = append(classes, class)
		}
		return n
	}
	for h, host := range hosts {
		g.Hosts = append(g.Hosts, host.Name)
		p := pair{now: number(host.Facts), before: -1}
		if host.Before != nil {
			p.before, g.Compares = number(host.Before), true
		}
		column, known := columns[p]
		if !known {
			column = len(pairs)
			columns[p] = column
			pairs = append(pairs, p)
		}
		g.of[h] = column
	}
	return classes, pairs
}

func cellOf(image Image, row int, p pair, rows []placement.Row, why [][][]Failing) Cell {
	if row < 0 {
		c := Cell{Outcome: selector.Unknown, Reason: decision.Line(image.Err.Error())}
		if p.before >= 0 {
			c.Before = &State{}
		}
		return c
	}
	v := rows[row].Verdicts[p.now]
	c := Cell{Outcome: v.Outcome, Platform: v.Platform, Digest: v.Digest, Reason: v.Reason, Failing: why[row][p.now]}
	if p.before >= 0 {
		was := rows[row].Verdicts[p.before]
		c.Before = &State{was.Outcome, was.Platform, was.Digest}
	}
	return c
}

// failing returns, by image and class, what keeps the variants of an image from fitting,
// where the image does not fit or is not known to.
func (e Evaluator) failing(ctx context.Context, needs []*decision.Needs, classes []nodeclass.Class, rows []placement.Row) ([][][]Failing, error) {
	all := make([][][]Failing, len(needs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, n := range needs {
		all[i] = make([][]Failing, len(classes))
		group.Go(func() error {
			for c, class := range classes {
				if rows[i].Verdicts[c].Outcome == selector.Fits {
					continue
				}
				d, err := e.Decisions.Evaluate(ctx, n, decision.Snapshot{Rules: e.Rules, Facts: class.Facts}, true)
				if err != nil {
					return err
				}
				all[i][c] = failingOf(d)
			}
			return nil
		})
	}
	return all, group.Wait()
}

// failingOf lists the conditions that do not hold, without what only combines others.
func failingOf(d *decision.Decision) (all []Failing) {
	for i, c := range d.Candidates {
		for n, r := range c.Requirements {
			combines := n+1 < len(c.Requirements) && c.Requirements[n+1].Depth > r.Depth
			if !combines && r.Outcome != selector.Fits && r.Importance == compat.Required.String() && len(all) < maxFailing {
				all = append(all, Failing{Variant: d.Label(i), Want: r.Want, Have: r.Have})
			}
		}
	}
	return all
}
