package page

import "html/template"

// Verdict is what a cell of a matrix shows.
type Verdict uint8

// The verdicts. The zero value is a cell that was not evaluated.
const (
	NotEvaluated Verdict = iota
	Fits
	Unknown
	Unfit
)

// maxCells bounds the different columns of a matrix times its rows.
const maxCells = 1 << 20

// Matrix shows verdicts by rows and columns, such as images by hosts. Columns that are
// equal in every row can be shown as one.
type Matrix struct {
	Heading string
	Note    string
	// Row and Column name what the lines are, in the singular, such as image and host.
	Row, Column   string
	Rows, Columns []string
	// Cell returns what is at a place.
	Cell func(row, column int) Cell
}

// Cell is one place of a matrix.
type Cell struct {
	Verdict Verdict
	Variant string // chosen there, such as linux/amd64/v3
	Reason  string // one sentence
	Failing []Failing
	// Before is, in a comparison, what the cell was before; nil in any other matrix.
	Before *Before
}

// Failing is a requirement that is not met, or not known to be.
type Failing struct {
	Of   string // the variant that has it
	Want string
	Have string
}

// Before is what a cell was before a change.
type Before struct {
	Verdict Verdict
	Variant string
}

// changed reports whether the cell differs from what it was.
func (c Cell) changed() bool {
	return c.Before != nil && (c.Before.Verdict != c.Verdict || c.Before.Variant != c.Variant)
}

// matrixView is a matrix as the template shows it.
type matrixView struct {
	Matrix
	Data     template.JS
	Compares bool
	Alike    bool // some columns are equal
	Summary  []rowSummary
	Most     []failingSummary
}

func (m Matrix) section() (section, error) {
	interned, err := newInterned(m)
	if err != nil {
		return section{}, err
	}
	data, err := interned.json()
	if err != nil {
		return section{}, err
	}
	v := &matrixView{
		Matrix: m, Data: data, Compares: interned.Compares, Alike: len(interned.Grid) < len(m.Columns),
		Summary: interned.summarize(), Most: interned.mostFailing(),
	}
	return section{Heading: m.Heading, Note: m.Note, Matrix: v}, nil
}
