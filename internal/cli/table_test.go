package cli

import (
	"fmt"
	"strings"
	"testing"
)

func TestATableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	const table = "VERDICT\tPOD\tIMAGE\tREASON\n" +
		"refused\tshop/web\tregistry.example/team/app:1\tlinux/amd64 needs kernel.version >= 99 (is 6.18.44)\n" +
		"admitted\tshop/api\tregistry.example/team/api:1\t-\n" +
		"\t\tregistry.example/team/api:2\tis 6.18.44\n"
	for name, tt := range map[string]struct {
		width int
		want  string
	}{
		"no terminal": {0, `
VERDICT    POD        IMAGE                         REASON
refused    shop/web   registry.example/team/app:1   linux/amd64 needs kernel.version >= 99 (is 6.18.44)
admitted   shop/api   registry.example/team/api:1   -
                      registry.example/team/api:2   is 6.18.44
`},
		"the last column wraps": {82, `
VERDICT    POD        IMAGE                         REASON
refused    shop/web   registry.example/team/app:1   linux/amd64 needs
                                                    kernel.version >= 99 (is
                                                    6.18.44)
admitted   shop/api   registry.example/team/api:1   -
                      registry.example/team/api:2   is 6.18.44
`},
		"the last column is below": {81, `
VERDICT    POD        IMAGE
    REASON
refused    shop/web   registry.example/team/app:1
    linux/amd64 needs kernel.version >= 99 (is 6.18.44)
admitted   shop/api   registry.example/team/api:1
                      registry.example/team/api:2
    is 6.18.44
`},
		"two columns are below": {46, `
VERDICT    POD
    IMAGE
    REASON
refused    shop/web
    registry.example/team/app:1
    linux/amd64 needs kernel.version >= 99 (is
    6.18.44)
admitted   shop/api
    registry.example/team/api:1
    registry.example/team/api:2
    is 6.18.44
`},
		"narrower than a word": {3, `
VERDICT
    POD
    IMAGE
    REASON
refused
    shop/web
    registry.example/team/app:1
    linux/amd64
    needs
    kernel.version
    >=
    99
    (is
    6.18.44)
admitted
    shop/api
    registry.example/team/api:1
    registry.example/team/api:2
    is
    6.18.44
`},
	} {
		c := &Console{width: tt.width}
		out := c.Table()
		fmt.Fprint(out, table)
		out.Flush()
		if got := c.String(); got != tt.want[1:] {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, tt.want[1:])
		}
	}
}

func TestOneLongCellLeavesTheOthersBesideTheFirstColumn(t *testing.T) {
	t.Parallel()
	long := "registry.example/" + strings.Repeat("long/", 10) + "app:1"
	c := &Console{width: 50}
	table := c.Table()
	fmt.Fprintf(table, "VERDICT\tIMAGE\tREASON\nadmitted\tapp:1\tfits\nadmitted\t%s\tfits\n", long)
	table.Flush()
	want := "VERDICT    IMAGE\n    REASON\nadmitted   app:1\n    fits\nadmitted   " + long + "\n    fits\n"
	if got := c.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestColumnsHaveTheirLeastWidths(t *testing.T) {
	t.Parallel()
	c := new(Console)
	table := c.Table(8, 3)
	fmt.Fprint(table, "a\tbcde\tf\n\t\t\n")
	table.Flush()
	if got, want := c.String(), "a          bcde   f\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
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

func TestColourDoesNotChangeWhereATableWraps(t *testing.T) {
	t.Parallel()
	laidOut := func(colour bool) string {
		c := &Console{width: 56, colour: colour}
		table := c.Table()
		fmt.Fprintf(table, "%s\tshop/web\tneeds kernel.version >= 99 (is 6.18.44)\n", c.Paint(Bad, "refused"))
		table.Flush()
		return c.String()
	}
	plain := laidOut(false)
	if got := strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "").Replace(laidOut(true)); got != plain || strings.Count(plain, "\n") != 2 {
		t.Errorf("plain\n%s\npainted\n%s", plain, got)
	}
}
