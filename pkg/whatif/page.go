package whatif

import (
	"github.com/imagefit/imagefit/pkg/page"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Matrix returns the grid as a part of a page.
func (g *Grid) Matrix() page.Matrix {
	return page.Matrix{
		Row: "image", Column: "host", Rows: g.Images, Columns: g.Hosts,
		Cell: func(row, column int) page.Cell { return g.Cell(row, column).ofPage() },
	}
}

func (c *Cell) ofPage() page.Cell {
	of := page.Cell{Verdict: verdictOf(c.Outcome), Variant: c.Platform, Reason: c.Reason}
	for _, f := range c.Failing {
		of.Failing = append(of.Failing, page.Failing{Of: f.Variant, Want: f.Want, Have: f.Have})
	}
	if c.Before != nil {
		of.Before = &page.Before{Verdict: verdictOf(c.Before.Outcome), Variant: c.Before.Platform}
	}
	return of
}

func verdictOf(o selector.Outcome) page.Verdict {
	switch o {
	case selector.Fits:
		return page.Fits
	case selector.Unfit:
		return page.Unfit
	default:
		return page.Unknown
	}
}
