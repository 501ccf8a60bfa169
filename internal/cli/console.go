package cli

import (
	"os"
	"strconv"
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
		if c.width == 0 {
			c.width, _ = strconv.Atoi(os.Getenv("COLUMNS"))
		}
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

// Paragraph returns a text that wraps at the width of the terminal. Words stay whole, so
// that references can be copied.
func (c *Console) Paragraph(text string) string {
	return strings.TrimRight(c.wrap(text, 0), " ") + "\n"
}

// wrap breaks a text that is too long for the terminal, with an indent before all lines
// but the first.
func (c *Console) wrap(text string, indent int) string {
	if c.width == 0 || indent+shownWidth(text) <= c.width {
		return text
	}
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
