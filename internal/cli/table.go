package cli

import "strings"

const (
	// columnGap is between two columns.
	columnGap = 3
	// narrowest is the width from which on the last column is worth being wrapped beside
	// the others.
	narrowest = 30
	// below is how far columns that do not fit beside the first are indented.
	below = 4
	// none is in cells that would be empty.
	none = "-"
)

// Table aligns the columns of the lines that are written to it: cells end with a tab, the
// last one of a line with the line. A line without tabs separates two tables. Where the
// terminal is too narrow for all columns side by side, each row takes several lines, in
// the same columns for all rows.
type Table struct {
	console *Console
	least   []int
	text    strings.Builder
}

// Table returns a table that Flush prints to the console. Its first columns have at least
// these widths.
func (c *Console) Table(widths ...int) *Table { return &Table{console: c, least: widths} }

// Write implements io.Writer.
func (t *Table) Write(p []byte) (int, error) { return t.text.Write(p) }

// Flush prints the table, which is empty afterwards.
func (t *Table) Flush() {
	var rows [][]string
	for line := range strings.Lines(t.text.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "\t") {
			rows = append(rows, strings.Split(line, "\t"))
			continue
		}
		t.print(rows)
		rows = nil
		t.console.WriteString(line + "\n")
	}
	t.print(rows)
	t.text.Reset()
}

func (t *Table) print(rows [][]string) {
	l := t.console.layOut(rows, t.least)
	for _, cells := range rows {
		t.console.WriteString(l.row(cells))
	}
}

// layout is where the columns of a table are.
type layout struct {
	console *Console
	widths  []int
	starts  []int  // where a column begins in its line
	breaks  []bool // the column is the first of a further line
}

// layOut places columns side by side as long as they fit the terminal, the others below.
// One that would not fit below either stays beside a narrow one.
func (c *Console) layOut(rows [][]string, least []int) layout {
	l := layout{console: c, widths: append([]int(nil), least...)}
	for _, cells := range rows {
		for len(l.widths) < len(cells) {
			l.widths = append(l.widths, 0)
		}
		last := len(cells) - 1
		for i, cell := range cells[:last] {
			l.widths[i] = max(l.widths[i], shownWidth(cell))
		}
		l.widths[last] = max(l.widths[last], min(shownWidth(cells[last]), narrowest))
	}
	at := 0
	for _, width := range l.widths {
		breaks := at > below && c.width > 0 && at+width > c.width && (at > c.width/3 || below+width <= c.width)
		if breaks {
			at = below
		}
		l.starts, l.breaks = append(l.starts, at), append(l.breaks, breaks)
		at += width + columnGap
	}
	return l
}

// row returns the lines of one row. Further lines without a text are left out.
func (l layout) row(cells []string) string {
	var lines []string
	var line strings.Builder
	says := false
	end := func() {
		if says || len(lines) == 0 && strings.TrimSpace(line.String()) != "" {
			lines = append(lines, strings.TrimRight(line.String(), " ")+"\n")
		}
		line.Reset()
		says = false
	}
	for i, cell := range cells {
		start, width := l.starts[i], shownWidth(cell)
		if l.breaks[i] {
			end()
		}
		if last := i == len(cells)-1; last || l.breaks[i+1] { // it ends its line
			if room := l.console.width - start; last && i > 0 && l.console.width > 0 && width > room && room < narrowest {
				end()
				start = min(start, below)
			}
			cell = l.console.wrap(cell, start)
		}
		line.WriteString(strings.Repeat(" ", max(0, start-shownWidth(line.String()))) + cell)
		says = says || cell != "" && cell != none
	}
	end()
	if len(lines) == 0 {
		return "\n"
	}
	return strings.Join(lines, "")
}
