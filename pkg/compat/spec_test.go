package compat_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
)

// spec makes a spec of its groups and the lines of one attribute.
func spec(t *testing.T, groups string, lines ...string) compat.Spec {
	t.Helper()
	s, err := compat.ParseSpec([]byte("version=1\nname=\"x\"\n" + groups + "\n[[attribute]]\n" + strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEmbeddedSpecs(t *testing.T) {
	t.Parallel()
	specs, err := compat.EmbeddedSpecs()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
		if s.Description == "" {
			t.Errorf("%s has no description", s.Name)
		}
		for _, rule := range s.Attributes {
			for from, to := range rule.Aliases {
				if !slices.Contains(rule.Values, to) {
					t.Errorf("%s: alias %s leads to %s, which is no value", s.Name, from, to)
				}
			}
		}
	}
	if want := []string{"io.archspec", "io.kubernetes.nfd"}; !slices.Equal(names, want) {
		t.Errorf("specs are %v, want %v", names, want)
	}
}

func TestParseSpecRefuses(t *testing.T) {
	t.Parallel()
	head := "version = 1\nname = \"x\"\ngroups = [\"g\"]\n"
	rule := func(lines ...string) string {
		return head + "[[attribute]]\nkeys = [\"k\"]\nfact = \"f\"\nelement = \"e\"\n" + strings.Join(lines, "\n")
	}
	tests := []struct{ name, text, want string }{
		{"nothing", "", "version is 0, this imagefit reads 1"},
		{"a later version, with keys of it", "version = 2\nnew = 1", "version is 2, this imagefit reads 1"},
		{"no TOML", "version = \n", "row 1, column 11: "},
		{"wrong type", head + "[[attribute]]\nkeys = \"k\"\n", "row 5, column 8, key attribute.keys: cannot decode TOML string as []string"},
		{"unknown key", head + "[[attribute]]\nkeys = [\"k\"]\nelment = \"e\"\n", "row 6, column 1: unknown key attribute.elment (is attribute.element meant?)"},
		{"unknown table", head + "[colour]\nred = 1\n", "row 4, column 2: unknown key colour"},
		{"no name", "version = 1\ngroups = [\"g\"]\n", "name and groups are needed"},
		{"no groups", "version = 1\nname = \"x\"\n", "name and groups are needed"},
		{"no fact", head + "[[attribute]]\nkeys = [\"k\"]\n", `attribute 1 ["k"]: keys and fact are needed`},
		{"no keys", head + "[[attribute]]\nfact = \"f\"\n", `attribute 1 []: keys and fact are needed`},
		{"no type", rule(), `attribute 1 ["k"]: type "" is none of flag, bool, string, version, option, target, device`},
		{"second attribute", rule(`type = "flag"`) + "\n[[attribute]]\nkeys = [\"b\"]\n", `attribute 2 ["b"]: keys and fact are needed`},
		{"importance", rule(`type = "flag"`, `importance = "nice"`), `importance "nice" is none of required, preferred, informative`},
		{"negative weight", rule(`type = "flag"`, `weight = -1`), "weight is -1, not 0 to 1000000"},
		{"heavy weight", rule(`type = "flag"`, `weight = 1000001`), "weight is 1000001, not 0 to 1000000"},
		{"no element", head + "[[attribute]]\nkeys = [\"k\"]\nfact = \"f\"\ntype = \"flag\"\n", "element is needed"},
		{"part too high", rule(`type = "version"`, `part = 4`), "part is 4, not 1 to 3"},
		{"part negative", rule(`type = "version"`, `part = -1`), "part is -1, not 1 to 3"},
		{"part of no version", rule(`type = "flag"`, `part = 1`), `type "flag" has no parts, only version has`},
		{"target without values", rule(`type = "target"`), "a target needs values"},
		{"element with a star, key without", strings.Replace(rule(`type = "flag"`), `"e"`, `"*"`, 1), `key "k" has no * for the one in element "*"`},
		{"star inside a key", strings.Replace(rule(`type = "flag"`), `"k"`, `"a*b"`, 1), `key "a*b": a * can stand only at the end`},
		{"empty key", strings.Replace(rule(`type = "flag"`), `"k"`, `""`, 1), `key "": a * can stand only at the end`},
		{"op of no device", rule(`type = "flag"`, `op = "Exists"`), `type "flag" has no op, only device has`},
		{"device without op", rule(`type = "device"`), `op "" is not known`},
		{"unknown op", rule(`type = "device"`, `op = "Like"`), `op "Like" is not known`},
		{"op without value", rule(`type = "device"`, `op = "Gt"`), "op Gt has 0 values, not 1"},
		{"op with two values", rule(`type = "device"`, `op = "Gt"`, `values = ["1", "2"]`), "op Gt has 2 values, not 1"},
		{"In of nothing", rule(`type = "device"`, `op = "In"`), "op In has 0 values, not 1"},
		{"Exists with a value", rule(`type = "device"`, `op = "Exists"`, `values = ["1"]`), "op Exists has 1 values, not 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := compat.ParseSpec([]byte(tt.text))
			if err == nil {
				t.Fatalf("was read: %+v", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if got.Name != "" || got.Attributes != nil {
				t.Errorf("half read: %+v", got)
			}
		})
	}
}

// FuzzParseSpec: a spec is also written by an operator; whatever it holds, it
// gives an error or rules that can be asked.
func FuzzParseSpec(f *testing.F) {
	f.Add([]byte("version=1\nname=\"x\"\ngroups=[\"*\"]\n[[attribute]]\nkeys=[\"a*\"]\nfact=\"f\"\nelement=\"*\"\ntype=\"flag\"\n"))
	f.Add([]byte("version=1\nname=\"x\"\ngroups=[\"*\"]\n[[attribute]]\nkeys=[\"k\"]\nfact=\"f\"\nelement=\"e\"\ntype=\"version\"\npart=2\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		s, err := compat.ParseSpec(text)
		if err != nil {
			return
		}
		in := compat.NewInterpreter([]compat.Spec{s})
		for _, value := range []string{"true", "false", "6.8", ""} {
			for _, key := range []string{"k", "abc"} {
				_ = in.Requirements([]compat.Attribute{{Group: "g", Key: key, Value: value}})
			}
		}
	})
}
