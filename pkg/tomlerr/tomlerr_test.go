package tomlerr_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/tomlerr"
)

type inner struct {
	List  []string `toml:"list"`
	Count int      `toml:"count"`
	On    bool     `toml:"on"`
	Kind  kind     `toml:"kind"`
	hid   int
}

type kind struct{ text string }

func (k *kind) UnmarshalText(text []byte) error {
	if string(text) == "bad" {
		return fmt.Errorf("%q is not a kind", text)
	}
	k.text = string(text)
	return nil
}

type file struct {
	Version int     `toml:"version"`
	Table   inner   `toml:"table"`
	Rules   []inner `toml:"rule,omitempty"`
	Skipped string
}

func TestDecodeNamesTheMistake(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"string for int", "version = \"a\"", "row 1, column 11, key version: is a string, expected a whole number"},
		{"in a table", "[table]\n  on = 1", "row 2, column 8, key table.on: is a whole number, expected true or false"},
		{"in a list", "[table]\nlist = [\"a\", 3]", "row 2, column 14, key table.list: is a whole number, expected a string"},
		{"for a table", "table = 3", "row 1, column 9, key table: is a whole number, expected a table"},
		{"for a list of tables", "rule = 3", "row 1, column 8, key rule: is a whole number, expected a list of tables"},
		{"text form refused", "[table]\nkind = \"bad\"", `row 2, column 8, key table.kind: "bad" is not a kind`},
		{"in a list of tables", "[[rule]]\ncount = 1\n[[rule]]\ncount = \"x\"", "row 4, column 9, key rule.count: is a string, expected a whole number"},
		{"syntax", "version = = 3", "row 1, column 11: unexpected character U+003D '=' at start of value"},
		{"twice", "version = 1\nversion = 2", "row 2, column 1, key version: key version is already defined"},
		{"unknown, near", "[table]\ncuont = 1", "row 2, column 1: unknown key table.cuont (is table.count meant?)"},
		{"unknown table, near", "[tables]\ncount = 1", "row 1, column 2: unknown key tables (is table meant?)"},
		{"unknown, far", "colour = 1", "row 1, column 1: unknown key colour"},
		{"unknown, two", "[table]\nx_y_z = 1\n[[rule]]\nonn = true", "row 2, column 1: unknown key table.x_y_z\nrow 4, column 1: unknown key rule.onn (is rule.on meant?)"},
		{"unknown, many", strings.Repeat("[[rule]]\nx_y_z=1\n", 23), "row 2, column 1: unknown key rule.x_y_z\n" + manyRows(4, 40) + "and 3 more unknown keys"},
		{"unknown, dotted", "table.cont = 1", "row 1, column 1: unknown key table.cont (is table.count meant?)"},
		{"unknown, huge", strings.Repeat("k", 200) + " = 1", "row 1, column 1: unknown key " + strings.Repeat("k", 200)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f file
			err := tomlerr.Decode([]byte(tt.text), &f)
			if err == nil {
				t.Fatalf("was read: %+v", f)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if errors.Is(err, tomlerr.ErrUnknownKey) != strings.Contains(tt.want, "unknown key") {
				t.Errorf("ErrUnknownKey does not match what was found: %s", err)
			}
		})
	}
}

func manyRows(first, last int) string {
	var b strings.Builder
	for row := first; row <= last; row += 2 {
		fmt.Fprintf(&b, "row %d, column 1: unknown key rule.x_y_z\n", row)
	}
	return b.String()
}

func TestDecodeReadsOverDefaults(t *testing.T) {
	t.Parallel()
	f := file{Table: inner{List: []string{"default"}, hid: 1}}
	if err := tomlerr.Decode([]byte("version = 1\n[table]\nlist = [\"a\"]\nkind = \"k\"\n[[rule]]\ncount = 2"), &f); err != nil {
		t.Fatal(err)
	}
	if f.Version != 1 || !slices.Equal(f.Table.List, []string{"a"}) || f.Table.Kind.text != "k" || f.Rules[0].Count != 2 || f.Table.hid != 1 {
		t.Errorf("read %+v", f)
	}
}

// TestDecodeReadsBesideUnknownKeys: a file of a later shape tells its version.
func TestDecodeReadsBesideUnknownKeys(t *testing.T) {
	t.Parallel()
	var f file
	err := tomlerr.Decode([]byte("new = 1\nversion = 7"), &f)
	if !errors.Is(err, tomlerr.ErrUnknownKey) || f.Version != 7 {
		t.Errorf("version %d, error %v", f.Version, err)
	}
}

type keyed struct {
	inner
	Name map[string]inner `toml:"name"`
}

func TestNearestKeyKeepsChosenNames(t *testing.T) {
	t.Parallel()
	var k keyed
	err := tomlerr.Decode([]byte("[name.\"a/b.c\"]\ncuont = 1"), &k)
	want := `row 2, column 1: unknown key name."a/b.c".cuont (is name."a/b.c".count meant?)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	p, ok := errors.AsType[tomlerr.ParseError](err)
	if !ok || p.Row != 2 || p.Column != 1 || p.Key != `name."a/b.c".cuont` || !p.Unknown {
		t.Errorf("problem %+v", p)
	}
}

func TestKeysAreQuotedWhereNeeded(t *testing.T) {
	t.Parallel()
	for want, parts := range map[string][]string{
		"a":                       {"a"},
		"a.b-c_1":                 {"a", "b-c_1"},
		`a."b.c"`:                 {"a", "b.c"},
		`"".x`:                    {"", "x"},
		`"ü"`:                     {"ü"},
		`"a\"\\\u000A\u007F"."="`: {"a\"\\\n\x7f", "="},
	} {
		if got := tomlerr.Key(parts); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, ok := tomlerr.OnlyKey(want + " = 1"); !ok || !slices.Equal(got, parts) {
			t.Errorf("%s is read as %q, %t", want, got, ok)
		}
	}
}

func TestOnlyKeyRefusesAnythingButOneLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# a", "a", "a =", "= 1", "a = 1\nb = 2", "[a]", "[a]\nb = 1", "a = 1 2"} {
		if got, ok := tomlerr.OnlyKey(text); ok {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}

func TestPositionsAreThoseOfTheFirstMention(t *testing.T) {
	t.Parallel()
	got := tomlerr.Positions([]byte(`# first
a = 1
b.c = [
  1,
]
[d."e.f"]
g = { h = 1, i.j = { k = 2 } }
[[l]]
m = 1
[[l]]
m = 2
`))
	want := map[string]tomlerr.Position{
		"a": {2, 1}, "b": {3, 1}, "b.c": {3, 1}, "d": {6, 2}, `d."e.f"`: {6, 2}, `d."e.f".g`: {7, 1}, `d."e.f".g.h`: {7, 7},
		`d."e.f".g.i`: {7, 14}, `d."e.f".g.i.j`: {7, 14}, `d."e.f".g.i.j.k`: {7, 22}, "l": {8, 3}, "l.m": {9, 1},
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := tomlerr.Positions([]byte("a = 1\nb = = 2\nc = 3")); !maps.Equal(got, map[string]tomlerr.Position{"a": {1, 1}}) {
		t.Errorf("before a mistake: %v", got)
	}
	long := strings.Repeat("k", 600)
	deep := strings.Repeat("a.", 20) + "a"
	if got := tomlerr.Positions([]byte(long + " = 1\n[" + deep + "]\nb = 1\nc = { d = 1 }")); len(got) != 8 {
		t.Errorf("%d keys of those beyond the bounds: %v", len(got), got)
	}
}

// FuzzPositions: whatever the text, reading its keys ends, and positions are of the text.
func FuzzPositions(f *testing.F) {
	f.Add("a = 1\n[b.\"c\"]\nd = { e = 1 }\n[[f]]\n")
	f.Add("a = [[{b = [{}]}]]")
	f.Fuzz(func(t *testing.T, text string) {
		most := strings.Count(text, "\n") + 1
		for key, at := range tomlerr.Positions([]byte(text)) {
			if at.Row < 1 || at.Row > most || at.Column < 1 || key == "" {
				t.Errorf("key %q at %+v of %d rows", key, at, most)
			}
		}
		if parts, ok := tomlerr.OnlyKey(text); ok {
			if again, ok := tomlerr.OnlyKey(tomlerr.Key(parts) + " = 1"); !ok || !slices.Equal(again, parts) {
				t.Errorf("%q is written as %s", parts, tomlerr.Key(parts))
			}
		}
	})
}

func TestKeysAreThoseOfTheStruct(t *testing.T) {
	t.Parallel()
	want := []string{
		"version", "table", "table.list", "table.count", "table.on", "table.kind",
		"rule", "rule.list", "rule.count", "rule.on", "rule.kind",
	}
	wantKeyed := []string{"list", "count", "on", "kind", "name", "name.*.list", "name.*.count", "name.*.on", "name.*.kind"}
	if got := tomlerr.Keys(keyed{}); !slices.Equal(got, wantKeyed) {
		t.Errorf("got %v, want %v", got, wantKeyed)
	}
	if got := tomlerr.Keys(file{}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := tomlerr.Keys(&file{}); !slices.Equal(got, want) {
		t.Errorf("of a pointer: got %v, want %v", got, want)
	}
}
