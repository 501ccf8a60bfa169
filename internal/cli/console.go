package cli

import (
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Console is text for people, which fits the terminal that it is printed on. The zero
// value is for a file or a pipe: nothing is wrapped or coloured.
type Console struct {
	strings.Builder

	width  int // of the terminal; 0 where there is none
	colour bool
}

// Style is how a terminal shows some words. It repeats what the words say.
type Style string

// The styles, as the parameters of the SGR control sequence.
const (
	Plain  Style = ""
	Strong Style = "1"
	Good   Style = "32"
	Unsure Style = "33"
	Bad    Style = "31"
)

const colorFlag = "color"

// ColorFlag adds the flag --color, for the command and those below it.
func ColorFlag(cmd *cobra.Command) {
	when, all := "auto", []string{"auto", "always", "never"}
	cmd.PersistentFlags().Var(&oneOf[string]{&when, when, all}, colorFlag,
		"colour of text output: "+strings.Join(all, ", ")+"; auto is on a terminal, unless NO_COLOR is set")
	Complete(cmd, colorFlag, all...)
}

// newConsole returns the console for what a command prints.
func newConsole(cmd *cobra.Command) *Console {
	c := new(Console)
	file, _ := cmd.OutOrStdout().(*os.File)
	terminal := file != nil && term.IsTerminal(int(file.Fd()))
	if terminal {
		c.width, _, _ = term.GetSize(int(file.Fd())) // 0 if it is not known
	}
	when, _ := cmd.Flags().GetString(colorFlag) // the daemons have none
	c.colour = when == "always" ||
		when == "auto" && terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return c
}

// Paint returns the text in a style, if the console has colour.
func (c *Console) Paint(style Style, text string) string {
	if !c.colour || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

const (
	// columnGap is between two columns.
	columnGap = 3
	// narrowest is the width from which on the last column is worth being wrapped: in
	// less, its text is below the others.
	narrowest = 30
	// below is how far text below the other columns is indented.
	below = 4
)

// Row returns a line whose last column wraps at the width of the terminal. Words stay
// whole, so that references can be copied.
func (c *Console) Row(start, last string) string {
	if c.width == 0 || last == "" {
		return strings.TrimRight(start+last, " ") + "\n"
	}
	shown := strings.Trim(start, " ")
	lead := len(start) - len(strings.TrimLeft(start, " "))
	if shown != "" && lead > below && lead+shownWidth(shown) > c.width { // empty cells need not push it out of sight
		lead = below
		start = strings.Repeat(" ", lead) + strings.TrimLeft(start, " ")
	}
	indent := shownWidth(start)
	if indent+shownWidth(last) <= c.width {
		return start + last + "\n"
	}
	if c.width-indent >= narrowest {
		return start + c.wrap(last, indent) + "\n"
	}
	if indent = lead + below; c.width-indent < narrowest {
		indent = below
	}
	return strings.Repeat(" ", lead) + shown + "\n" + strings.Repeat(" ", indent) + c.wrap(last, indent) + "\n"
}

// wrap breaks text where the terminal ends, with an indent before all lines but the first.
func (c *Console) wrap(text string, indent int) string {
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		switch width := shownWidth(word); {
		case used == 0:
			used = width
		case indent+used+1+width <= c.width:
			b.WriteString(" ")
			used += 1 + width
		default:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = width
		}
		b.WriteString(word)
	}
	return b.String()
}

// shownWidth is how many columns of the terminal a text takes, without what Paint adds.
func shownWidth(text string) (width int) {
	for text != "" {
		plain, rest, _ := strings.Cut(text, "\x1b[")
		_, text, _ = strings.Cut(rest, "m")
		width += utf8.RuneCountInString(plain)
	}
	return width
}

// Table aligns the columns of the lines that are written to it: cells end with a tab, the
// last one of a line with the line. A line without tabs separates two tables.
type Table struct {
	console *Console
	text    strings.Builder
}

// Table returns a table that Flush prints to the console.
func (c *Console) Table() *Table { return &Table{console: c} }

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
	var widths []int
	for _, cells := range rows {
		for i, cell := range cells[:len(cells)-1] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], shownWidth(cell))
		}
	}
	for _, cells := range rows {
		last := len(cells) - 1
		var start strings.Builder
		for i, cell := range cells[:last] {
			start.WriteString(cell + strings.Repeat(" ", widths[i]-shownWidth(cell)+columnGap))
		}
		t.console.WriteString(t.console.Row(start.String(), cells[last]))
	}
}
