package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestARowWrapsItsLastColumnToTheTerminal(t *testing.T) {
	t.Parallel()
	const start, reason = "refused   shop/web   ", "linux/amd64 needs kernel.version >= 99 (is 6.18.44)"
	for name, tt := range map[string]struct {
		width       int
		start, last string
		want        string
	}{
		"no terminal":     {0, start, reason, start + reason + "\n"},
		"wide enough":     {72, start, reason, start + reason + "\n"},
		"one too narrow":  {71, start, reason, start + "linux/amd64 needs kernel.version >= 99 (is\n" + strings.Repeat(" ", 21) + "6.18.44)\n"},
		"below":           {50, start, reason, "refused   shop/web\n    linux/amd64 needs kernel.version >= 99 (is\n    6.18.44)\n"},
		"below a column":  {50, strings.Repeat(" ", 10) + "kernel.version >= 99   ", "is 6.18.44, does not fit", strings.Repeat(" ", 10) + "kernel.version >= 99\n" + strings.Repeat(" ", 14) + "is 6.18.44, does not fit\n"},
		"column outside":  {50, strings.Repeat(" ", 40) + "kernel.version >= 99   ", "is 6.1", "    kernel.version >= 99   is 6.1\n"},
		"words are whole": {40, start, "registry.example/a/very/long/name/of/an/image:1 fits", "refused   shop/web\n    registry.example/a/very/long/name/of/an/image:1\n    fits\n"},
		"nothing":         {10, start, "", "refused   shop/web\n"},
		"empty":           {0, start, "", "refused   shop/web\n"},
		"narrower than the indent": {
			2, start, "a b", "refused   shop/web\n    a\n    b\n",
		},
		"painted": {56, "\x1b[31mrefused\x1b[0m   shop/web   ", reason, "\x1b[31mrefused\x1b[0m   shop/web   linux/amd64 needs kernel.version >=\n" + strings.Repeat(" ", 21) + "99 (is 6.18.44)\n"},
	} {
		c := &Console{width: tt.width}
		if got := c.Row(tt.start, tt.last); got != tt.want {
			t.Errorf("%s: got\n%q\nwant\n%q", name, got, tt.want)
		}
	}
}

func TestATableIsAlignedWithAndWithoutColour(t *testing.T) {
	t.Parallel()
	c := new(Console)
	laidOut := func(c *Console) string {
		table := c.Table()
		fmt.Fprintf(table, "ENTRY\tVERDICT\tHAVE\n%s\t%s\tµ\nb\t%s\t\n", c.Paint(Strong, "entry-a"), c.Paint(Good, "fits"), c.Paint(Plain, "unknown"))
		fmt.Fprint(table, "a line\nlonger than the first\tx\n")
		table.Flush()
		table.Flush() // prints nothing again
		return c.String()
	}
	want := "ENTRY     VERDICT   HAVE\nentry-a   fits      µ\nb         unknown\na line\nlonger than the first   x\n"
	if got := laidOut(c); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got := laidOut(&Console{colour: true})
	if !strings.Contains(got, "\x1b[1mentry-a\x1b[0m   \x1b[32mfits\x1b[0m      µ\n") {
		t.Errorf("coloured: %q", got)
	}
	if plain := strings.NewReplacer("\x1b[1m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(got); plain != want {
		t.Errorf("colour changes the layout:\n%s", plain)
	}
}

// printed is what a command prints that paints a word, by its arguments.
func printed(t *testing.T, run func(cmd *cobra.Command), args ...string) error {
	t.Helper()
	var o Output
	below := &cobra.Command{Use: "show", RunE: func(cmd *cobra.Command, _ []string) error {
		return o.Print(cmd, nil, func(c *Console) { c.WriteString(c.Row("", c.Paint(Bad, "refused")+" "+strings.Repeat("word ", 10))) })
	}}
	o.AddFlag(below, Text, JSON)
	root := &cobra.Command{Use: "root", SilenceErrors: true, SilenceUsage: true}
	ColorFlag(root)
	root.AddCommand(below)
	root.SetArgs(append([]string{"show"}, args...))
	run(root)
	return root.Execute()
}

func TestColorIsForTerminalsUnlessAskedFor(t *testing.T) {
	t.Setenv("NO_COLOR", "1") // which the flag overrides
	plain := "refused" + strings.Repeat(" word", 10) + " \n"
	for args, want := range map[string]string{
		"":               plain,
		"--color=auto":   plain,
		"--color=never":  plain,
		"--color=always": "\x1b[31mrefused\x1b[0m" + strings.TrimPrefix(plain, "refused"),
	} {
		var out bytes.Buffer
		err := printed(t, func(cmd *cobra.Command) { cmd.SetOut(&out) }, strings.Fields(args)...)
		if got := out.String(); err != nil || got != strings.Replace(want, " \n", "\n", 1) {
			t.Errorf("%q: %v, got %q", args, err, got)
		}
	}
	if err := printed(t, func(*cobra.Command) {}, "--color=red"); err == nil || !strings.Contains(err.Error(), "want one of: auto, always, never") {
		t.Errorf("--color=red: %v", err)
	}
}
