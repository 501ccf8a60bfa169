package catalog

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/page"
	"github.com/imagefit/imagefit/pkg/selector"
)

// maxReported bounds the rows of a table of a report.
const maxReported = 2_000

// Report is a page about the images of a catalog on nodes.
type Report struct {
	Catalog *Catalog
	Matrix  *Matrix
	// Before is the same images on the same nodes before a change, or nil.
	Before *Matrix
	What   *Expression
	Since  time.Time // of the changes that are shown
}

// Write writes the page: one file that needs nothing else.
func (r *Report) Write(ctx context.Context, w io.Writer) error {
	stats, err := r.Catalog.Stats(ctx)
	if err != nil {
		return err
	}
	lead := fmt.Sprintf("%d names of %d images with %d variants, of which %d have compatibility artifacts. Made on %s.",
		stats.Names, stats.Images, stats.Variants, stats.WithNeeds, r.Catalog.now().UTC().Format("2006-01-02 15:04 MST"))
	p := page.Page{Title: "Images and where they run", Lead: []string{lead}, Parts: []page.Part{r.matrix()}}
	if r.Before != nil {
		p.Parts = append(p.Parts, r.changes())
	}
	p.Parts = append(p.Parts, r.none())
	rows, err := r.Catalog.Query(ctx, r.What, 0)
	if err != nil {
		return err
	}
	p.Parts = append(p.Parts, r.unused(rows), without(rows))
	for _, part := range []struct{ heading, query, empty string }{
		{"Mistakes in artifacts", "errors > 0 or unreadable", "lint finds no mistake"},
		{"Facts of a build host as requirements", "build_host", "no artifact requires facts of one machine"},
	} {
		table, err := r.table(ctx, part.heading, part.query, part.empty)
		if err != nil {
			return err
		}
		p.Parts = append(p.Parts, table)
	}
	moved, err := r.moved(ctx)
	if err != nil {
		return err
	}
	p.Parts = append(p.Parts, moved)
	return p.Write(w)
}

func (r *Report) matrix() page.Matrix {
	m := page.Matrix{
		Heading: "Images and nodes", Note: "The variant that a pull would choose on each node.", Row: "image", Column: "node", Columns: r.Matrix.Nodes,
	}
	for _, l := range r.Matrix.Images {
		m.Rows = append(m.Rows, strings.Join(l.Names, " "))
	}
	m.Cell = func(row, column int) page.Cell {
		v := r.Matrix.Images[row].Verdicts[column]
		cell := page.Cell{Verdict: shown(v.Outcome), Variant: v.Platform, Reason: v.Reason}
		if r.Before != nil {
			was := r.Before.Images[row].Verdicts[column]
			cell.Before = &page.Before{Verdict: shown(was.Outcome), Variant: was.Platform}
		}
		return cell
	}
	return m
}

func shown(o selector.Outcome) page.Verdict {
	switch o {
	case selector.Fits:
		return page.Fits
	case selector.Unfit:
		return page.Unfit
	default:
		return page.Unknown
	}
}

func (r *Report) none() page.Table {
	t := page.Table{Heading: "Images that run on none of the nodes", Columns: []string{"Image", "Reason on the first node"}, Empty: "every image may run on a node"}
	for _, l := range r.Matrix.Where((*MatrixLine).FitsNone).Images {
		t.Rows = append(t.Rows, []string{strings.Join(l.Names, " "), l.Verdicts[0].Reason})
	}
	return bounded(t)
}

// changes lists what stops and what gets worse on any node.
func (r *Report) changes() page.Table {
	t := page.Table{Heading: "What the change breaks", Columns: []string{"Node", "Change", "Image", "Reason"}, Empty: "no image stops running or gets a worse variant"}
	for n, node := range r.Matrix.Nodes {
		pair := &Matrix{Nodes: []string{"before", "after"}}
		for i, l := range r.Matrix.Images {
			before := r.Before.Images[i].Verdicts[n]
			line := MatrixLine{Names: l.Names, Digest: l.Digest}
			line.Verdicts = append(line.Verdicts, before, l.Verdicts[n])
			pair.Images = append(pair.Images, line)
		}
		for _, c := range pair.Changes() {
			if c.Change == "stops" || c.Change == "uncertain" || c.Change == "worse" {
				t.Rows = append(t.Rows, []string{node, c.Change, strings.Join(c.Names, " "), c.After.Reason})
			}
		}
	}
	return bounded(t)
}

func (r *Report) unused(rows []Row) page.Table {
	t := page.Table{Heading: "Variants that no node would choose", Columns: []string{"Image", "Platform", "Digest"}, Empty: "every variant would be chosen on a node", Folded: true}
	for _, u := range r.Matrix.Unchosen(rows) {
		t.Rows = append(t.Rows, []string{strings.Join(u.Names, " "), u.Platform, u.Variant.String()})
	}
	return bounded(t)
}

func without(rows []Row) page.Table {
	t := page.Table{Heading: "Variants without an artifact", Columns: []string{"Image", "Platform"}, Empty: "every variant has an artifact", Folded: true}
	for _, row := range rows {
		if row.Artifacts == 0 {
			t.Rows = append(t.Rows, []string{row.Name, row.Platform})
		}
	}
	return bounded(t)
}

func (r *Report) table(ctx context.Context, heading, query, empty string) (page.Table, error) {
	t := page.Table{Heading: heading, Columns: []string{"Image", "Platform"}, Empty: empty}
	e, err := ParseExpression(query)
	if err != nil {
		return t, err
	}
	rows, err := r.Catalog.Query(ctx, &Expression{e.text, andNode{[]node{e.root, r.What.root}}}, 0)
	for _, row := range rows {
		t.Rows = append(t.Rows, []string{row.Name, row.Platform})
	}
	return bounded(t), err
}

func (r *Report) moved(ctx context.Context) (page.Table, error) {
	t := page.Table{
		Heading: "What changed since " + r.Since.UTC().Format(time.DateOnly), Columns: []string{"Time", "Change", "Name", "Before", "After"}, Empty: "nothing changed", Folded: true,
	}
	changes, err := r.Catalog.Changes(ctx, r.Since, r.Catalog.now())
	for _, c := range changes {
		if c.What != "new" {
			t.Rows = append(t.Rows, []string{c.At.Format("2006-01-02 15:04"), c.What, c.Name, c.Before.String(), c.After.String()})
		}
	}
	return bounded(t), err
}

// bounded cuts a table, and states so.
func bounded(t page.Table) page.Table {
	if len(t.Rows) > maxReported {
		t.Note = fmt.Sprintf("The first %d of %d rows.", maxReported, len(t.Rows))
		t.Rows = t.Rows[:maxReported]
	}
	return t
}
