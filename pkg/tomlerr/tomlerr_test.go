package tomlerr_test

import (
	"errors"
	"fmt"
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
		return fmt.Errorf("%q is no kind", text)
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

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"string for int", "version = \"a\"", "row 1, column 11, key version: cannot decode TOML string as int"},
		{"in a table", "[table]\n  on = 1", "row 2, column 8, key table.on: cannot decode TOML integer as bool"},
		{"in a list", "[table]\nlist = [\"a\", 3]", "row 2, column 14, key table.list: cannot decode TOML integer as string"},
		{"for a table", "table = 3", "row 1, column 9, key table: cannot decode TOML integer as inner"},
		{"for a list of tables", "rule = 3", "row 1, column 8, key rule: cannot decode TOML integer as inner"},
		{"text form refused", "[table]\nkind = \"bad\"", `row 2, column 8, key table.kind: "bad" is no kind`},
		{"in a list of tables", "[[rule]]\ncount = 1\n[[rule]]\ncount = \"x\"", "row 4, column 9, key rule.count: cannot decode TOML string as int"},
		{"syntax", "version = = 3", "row 1, column 11: unexpected character U+003D '=' at start of value"},
		{"twice", "version = 1\nversion = 2", "row 2, column 1, key version: key version is already defined"},
		{"unknown, near", "[table]\ncuont = 1", "row 2, column 1: unknown key table.cuont (is table.count meant?)"},
		{"unknown table, near", "[tables]\ncount = 1", "row 1, column 2: unknown key tables (is table meant?)"},
		{"unknown, far", "colour = 1", "row 1, column 1: unknown key colour"},
		{"unknown, two", "[table]\nx_y_z = 1\n[[rule]]\nonn = true", "row 2, column 1: unknown key table.x_y_z\nrow 4, column 1: unknown key rule.onn (is rule.on meant?)"},
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

func TestDecodeReads(t *testing.T) {
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

func TestKeys(t *testing.T) {
	t.Parallel()
	want := []string{
		"version", "table", "table.list", "table.count", "table.on", "table.kind",
		"rule", "rule.list", "rule.count", "rule.on", "rule.kind",
	}
	if got := tomlerr.Keys(file{}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := tomlerr.Keys(&file{}); !slices.Equal(got, want) {
		t.Errorf("of a pointer: got %v, want %v", got, want)
	}
}
