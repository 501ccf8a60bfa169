package page

import "math"

// The size of a plot, and the room around it for what is written on the axes.
const (
	plotWidth, plotHeight   = 720, 220
	marginLeft, marginRight = 70, 12
	marginTop, marginBottom = 12, 28
)

// Plot is points between two axes. What it shows must be in words as well, in Note or in
// a table beside it.
type Plot struct {
	Heading string
	Note    string
	Label   string // what is drawn, for readers who do not see it
	X, Y    Axis
	Points  []Point
}

// Axis is a range of values with words at some of them.
type Axis struct {
	From, To float64
	Ticks    []Tick
}

// Tick is a word at a value.
type Tick struct {
	At   float64
	Text string
}

// Point is one value, and what is shown when a reader points at it.
type Point struct {
	X, Y  float64
	Title string
}

// drawing is a plot in the coordinates of its picture.
type drawing struct {
	Label         string
	Width, Height int
	Lines         []line
	Dots          []dot
	Words         []word
}

type (
	line struct{ X1, Y1, X2, Y2 float64 }
	dot  struct {
		X, Y  float64
		Title string
	}
	word struct {
		X, Y         float64
		Anchor, Text string
	}
)

func (p Plot) section() (section, error) {
	const left, right = marginLeft, plotWidth - marginRight
	const top, bottom = marginTop, plotHeight - marginBottom
	d := &drawing{Label: p.Label, Width: plotWidth, Height: plotHeight}
	for _, tick := range p.Y.Ticks {
		y := p.Y.place(tick.At, bottom, top)
		d.Lines = append(d.Lines, line{left, y, right, y})
		d.Words = append(d.Words, word{left - 6, y + 4, "end", tick.Text})
	}
	for _, tick := range p.X.Ticks {
		x, anchor := p.X.place(tick.At, left, right), "middle"
		if x > right-marginRight { // a word in the middle would end beyond the picture
			anchor = "end"
		}
		d.Lines = append(d.Lines, line{x, bottom, x, bottom + 5})
		d.Words = append(d.Words, word{x, plotHeight - 8, anchor, tick.Text})
	}
	for _, point := range p.Points {
		d.Dots = append(d.Dots, dot{p.X.place(point.X, left, right), p.Y.place(point.Y, bottom, top), point.Title})
	}
	return section{Heading: p.Heading, Note: p.Note, Plot: d}, nil
}

// place returns where a value is between two coordinates.
func (a Axis) place(value, from, to float64) float64 {
	part := 0.5
	if a.To > a.From {
		part = min(max((value-a.From)/(a.To-a.From), 0), 1)
	}
	return math.Round((from+part*(to-from))*10) / 10
}
