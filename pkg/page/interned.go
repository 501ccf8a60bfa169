package page

import (
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"strings"
)

// interned is the data of a matrix: each text, each cell and each column is in it once.
type interned struct {
	Row      string   `json:"row"`
	Column   string   `json:"column"`
	Rows     []string `json:"rows"`
	Columns  []string `json:"columns"`
	Compares bool     `json:"compares"`
	Texts    []string `json:"texts"`
	// Cells are verdict, variant, reason, verdict before or -1, variant before, then of,
	// want and have of each failing requirement; texts by their number.
	Cells [][]int `json:"cells"`
	Of    []int   `json:"of"`   // the column in Grid of each column
	Grid  [][]int `json:"grid"` // different columns: the cell of each row

	matrix   Matrix
	distinct []Cell // as Cells
	texts    map[string]int
	cells    map[string]int
}

func newInterned(m Matrix) (*interned, error) {
	d := &interned{
		Row: m.Row, Column: m.Column, Rows: m.Rows, Columns: m.Columns, Of: make([]int, len(m.Columns)),
		matrix: m, texts: map[string]int{}, cells: map[string]int{},
	}
	d.text("")
	columns := map[string]int{}
	for c := range m.Columns {
		column := make([]int, len(m.Rows))
		var key strings.Builder
		for r := range m.Rows {
			column[r] = d.cell(m.Cell(r, c))
			key.WriteString(strconv.Itoa(column[r]) + ",")
		}
		n, seen := columns[key.String()]
		if !seen {
			n = len(d.Grid)
			columns[key.String()] = n
			d.Grid = append(d.Grid, column)
		}
		d.Of[c] = n
		if len(d.Grid)*len(m.Rows) > maxCells {
			return nil, fmt.Errorf("%d rows by more than %d different columns are more than the %d cells that a browser shows: leave some out",
				len(m.Rows), len(d.Grid)-1, maxCells)
		}
	}
	return d, nil
}

func (d *interned) text(s string) int {
	n, seen := d.texts[s]
	if !seen {
		n = len(d.Texts)
		d.texts[s] = n
		d.Texts = append(d.Texts, s)
	}
	return n
}

func (d *interned) cell(c Cell) int {
	numbers := []int{int(c.Verdict), d.text(c.Variant), d.text(c.Reason), -1, 0}
	if c.Before != nil {
		d.Compares = true
		numbers[3], numbers[4] = int(c.Before.Verdict), d.text(c.Before.Variant)
	}
	for _, f := range c.Failing {
		numbers = append(numbers, d.text(f.Of), d.text(f.Want), d.text(f.Have))
	}
	var b strings.Builder
	for _, n := range numbers {
		b.WriteString(strconv.Itoa(n) + ",")
	}
	n, seen := d.cells[b.String()]
	if !seen {
		n = len(d.Cells)
		d.cells[b.String()] = n
		d.Cells, d.distinct = append(d.Cells, numbers), append(d.distinct, c)
	}
	return n
}

// json returns the data for a script element: the encoder escapes what could end that.
func (d *interned) json() (template.JS, error) {
	text, err := json.Marshal(d)
	return template.JS(text), err //nolint:gosec // JSON without <, > and &
}
