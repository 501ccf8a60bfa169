package spec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// specWith makes a spec of its groups and the lines of one node.
func specWith(t *testing.T, groups string, lines ...string) spec.Spec {
	t.Helper()
	s, err := spec.Parse([]byte("version=1\nname=\"x\"\n" + groups + "\n[[node]]\nname=\"n\"\n" + strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEmbeddedSpecsAreOrderedAndDescribed(t *testing.T) {
	t.Parallel()
	specs, err := spec.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
		if s.Description == "" || s.Revision == "" || !strings.HasPrefix(s.Source, "embedded ") {
			t.Errorf("%s has no description, revision or source: %+v", s.Name, s)
		}
	}
	want := []string{
		"io.archspec", "llnl.compatlib", "oci", "org.opencontainers", "os.features", "org.supercontainers",
		"io.kubernetes.nfd", // speaks for any group, so it is asked last
	}
	if !slices.Equal(names, want) {
		t.Errorf("specs are %v, want %v", names, want)
	}
}

const specHead = "version = 1\nname = \"x\"\ngroups = [\"g\"]\n" // three rows

func nodeText(lines ...string) string {
	return specHead + "[[node]]\nname = \"n\"\n" + strings.Join(lines, "\n")
}

func flagNode(lines ...string) string {
	return nodeText(append([]string{`fact = "f"`, `element = "e"`, `type = "bool"`, `match = "exists"`}, lines...)...)
}

func TestParseRefusesWithTheRow(t *testing.T) {
	t.Parallel()
	family := specHead + "[[family]]\n"
	tests := []struct{ name, text, want string }{
		{"nothing", "", "version is 0, this imagefit reads 1"},
		{"a later version, with keys of it", "version = 2\nnew = 1", "version is 2, this imagefit reads 1"},
		{"no TOML", "version = \n", "row 1, column 11: "},
		{"wrong type", specHead + "[[node]]\nkeys = \"k\"\n", "row 5, column 8, key node.keys: is a string, expected a list of strings"},
		{"unknown key", specHead + "[[node]]\nname = \"n\"\nelment = \"e\"\n", "row 6, column 1: unknown key node.elment (is node.element meant?)"},
		{"unknown table", specHead + "[colour]\nred = 1\n", "row 4, column 2: unknown key colour"},
		{"no name", "version = 1\ngroups = [\"g\"]\n", "name and groups are needed"},
		{"no groups", "version = 1\nname = \"x\"\n", "name and groups are needed"},
		{"node without a name", specHead + "[[node]]\ntype = \"bool\"\n", `row 4, node "": name is needed`},
		{"node twice", flagNode() + "\n\n[[node]]\nname = \"n\"\n", `row 11, node "n": another node has this name`},
		{"parent missing", nodeText(`parent = "p"`), `row 4, node "n": parent "p" is not a node`},
		{"parent itself", nodeText(`parent = "n"`), `row 4, node "n": parent "n": the node contains itself`},
		{"a ring", nodeText(`parent = "m"`) + "\n[[node]]\nname = \"m\"\nparent = \"n\"\n", "the node contains itself"},
		{"no type", nodeText(`keys = ["k"]`, `fact = "f"`, `element = "e"`), `type "" is not one of bool, int, version, string, list`},
		{"group with a match", nodeText(`match = "equal"`), "type is needed"},
		{"no fact", nodeText(`type = "bool"`, `match = "exists"`), "fact is needed"},
		{"element of no fact", nodeText(`type = "bool"`, `element = "e"`, `importance = "informative"`), "fact is needed for an element"},
		{"no element", nodeText(`fact = "f"`, `type = "bool"`, `match = "exists"`), "element is needed"},
		{"no match", nodeText(`fact = "f"`, `element = "e"`, `type = "bool"`), `match "" is not one of equal, exists, option, cuda, rocm, which type bool has`},
		{"match of another type", nodeText(`fact = "f"`, `element = "e"`, `type = "bool"`, `match = "range"`), `match "range" is not one of equal, exists, option`},
		{"importance", flagNode(`importance = "nice"`), `importance "nice" is not one of required, preferred, informative`},
		{"negative weight", flagNode(`importance = "preferred"`, `weight = -1`), "weight is -1, not 0 to 1000000"},
		{"heavy weight", flagNode(`importance = "preferred"`, `weight = 1000001`), "weight is 1000001, not 0 to 1000000"},
		{"weight of what is required", flagNode(`weight = 1`), "only what is preferred has a weight"},
		{"part too high", nodeText(`fact = "f"`, `element = "e"`, `type = "version"`, `match = "at-least"`, `join = "v"`, `part = 4`), "part is 4, not 1 to 3"},
		{"part of no version", flagNode(`join = "v"`, `part = 1`), "a part is that of a version"},
		{"part without a join", nodeText(`fact = "f"`, `element = "e"`, `type = "version"`, `match = "at-least"`, `part = 1`), "a part is that of a version"},
		{"element with a star, key without", strings.Replace(flagNode(), `"e"`, `"*"`, 1), `key "n" has no * for the one in element "*"`},
		{"two stars in a key", flagNode(`keys = ["a*b*"]`), `key "a*b*": a key has some text and at most one *`},
		{"empty key", flagNode(`keys = [""]`), `key "": a key has some text`},
		{"items of a string", nodeText(`fact = "f"`, `items = ["a.b"]`, `type = "string"`, `match = "equal"`), "only a list or a bool has items"},
		{"items without a star", nodeText(`fact = "f"`, `items = ["a.b"]`, `type = "bool"`, `match = "exists"`), "has no * that names an item"},
		{"condition without an op", flagNode(`where = [{ element = "a" }]`), `op "" is not known`},
		{"condition without an element", flagNode(`where = [{ op = "Exists" }]`), "a condition needs an element"},
		{"unknown op", flagNode(`where = [{ element = "a", op = "Like" }]`), `op "Like" is not known`},
		{"op without value", flagNode(`where = [{ element = "a", op = "Gt" }]`), "op Gt has 0 values, not 1"},
		{"op with two values", flagNode(`where = [{ element = "a", op = "Gt", values = ["1", "2"] }]`), "op Gt has 2 values, not 1"},
		{"In of nothing", flagNode(`where = [{ element = "a", op = "In" }]`), "op In has 0 values, not 1"},
		{"Exists with a value", flagNode(`where = [{ element = "a", op = "Exists", values = ["1"] }]`), "op Exists has 1 values, not 0"},
		{"if_false", flagNode(`if_false = "no"`), `if_false "no" is not one of absent, nothing`},
		{"if_false of a string", nodeText(`fact = "f"`, `element = "e"`, `type = "string"`, `match = "equal"`, `if_false = "nothing"`), "only a bool has if_false"},
		{"if_absent of no library", flagNode(`if_absent = "fits"`), "only match abi has if_absent"},
		{"fold", flagNode(`fold = "up"`), `fold "up" is not one of lower, upper`},
		{"role of nothing", flagNode(`role = "version"`), `role "version" is not one of `},
		{"abi without a role", nodeText(`fact = "f"`, `element = "e"`, `type = "string"`, `match = "abi"`, `join = "j"`), `role "" is not one of implementation, version`},
		{"abi without a join", nodeText(`fact = "f"`, `element = "e"`, `type = "string"`, `match = "abi"`, `role = "implementation"`), "a role needs a join"},
		{"a joined list", nodeText(`fact = "f"`, `element = "*"`, `type = "list"`, `match = "subset"`, `join = "j"`), "a list with match subset cannot be joined"},
		{"alias to no value", nodeText(`fact = "f"`, `element = "e"`, `type = "string"`, `match = "equal"`, `values = ["a"]`, `aliases = { b = "c" }`), `alias "b" leads to "c", which is not one of the values`},
		{"family without members", family + `name = "f"`, `row 4, family "f": name and members are needed`},
		{"family without versions", family + "name = \"f\"\nversion = \"any\"\nmembers = { a = \"new\" }", `member "a" begins at "new", which is not a version`},
		{"family with another rule", family + "name = \"f\"\nversion = \"new\"\nmembers = { a = \"1\" }", `version "new" is not one of any, minor`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := spec.Parse([]byte(tt.text))
			if err == nil {
				t.Fatalf("was read: %+v", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if got.Name != "" || got.Nodes != nil {
				t.Errorf("half read: %+v", got)
			}
		})
	}
}

// TestSchemaAcceptsWhatParseDoes: the JSON Schema for editors takes every embedded spec, and
// refuses what Parse refuses by its shape.
func TestSchemaAcceptsWhatParseDoes(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	files, err := filepath.Glob("specs/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no specs", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(decodeTOML(t, string(text))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for name, text := range map[string]string{
		"version":    strings.Replace(flagNode(), "version = 1", "version = 2", 1),
		"no groups":  "version = 1\nname = \"x\"\n",
		"key":        flagNode(`colour = "red"`),
		"type":       strings.Replace(flagNode(), `"bool"`, `"flag"`, 1),
		"match":      strings.Replace(flagNode(), `"exists"`, `"like"`, 1),
		"importance": flagNode(`importance = "nice"`),
		"weight":     flagNode(`weight = 1000001`),
		"op":         flagNode(`where = [{ element = "a", op = "Like" }]`),
	} {
		if err := schema.Validate(decodeTOML(t, text)); err == nil {
			t.Errorf("%s: is taken by the schema", name)
		}
		if _, err := spec.Parse([]byte(text)); err == nil {
			t.Errorf("%s: is read", name)
		}
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(spec.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("spec.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("spec.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func decodeTOML(t *testing.T, text string) any {
	t.Helper()
	var decoded map[string]any
	if err := toml.Unmarshal([]byte(text), &decoded); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(decoded)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// FuzzParse: a spec is also written by an operator; whatever it holds, it
// gives an error or nodes that can be asked and drawn.
func FuzzParse(f *testing.F) {
	f.Add([]byte("version=1\nname=\"x\"\ngroups=[\"*\"]\n[[node]]\nname=\"n\"\nkeys=[\"a*\"]\nfact=\"f\"\nelement=\"*\"\ntype=\"bool\"\nmatch=\"exists\"\n"))
	f.Add([]byte("version=1\nname=\"x\"\ngroups=[\"*\"]\n[[node]]\nname=\"k\"\nfact=\"f\"\nelement=\"e\"\ntype=\"version\"\nmatch=\"at-least\"\njoin=\"v\"\npart=2\n"))
	f.Add([]byte("version=1\nname=\"x\"\ngroups=[\"*\"]\n[[node]]\nname=\"k\"\nparent=\"p\"\nfact=\"f\"\nelement=\"e\"\ntype=\"version\"\nmatch=\"range\"\n[[node]]\nname=\"p\"\nfact=\"f\"\nelement=\"e\"\ntype=\"bool\"\nmatch=\"exists\"\n"))
	f.Add([]byte("version=1\nname=\"x\"\nprefixes={g=\"a\"}\n[[node]]\nname=\"k\"\nfact=\"f\"\nitems=[\"a.b\"]\ntype=\"list\"\nmatch=\"subset\"\n"))
	f.Add([]byte(`{"graph":{"id":"a","nodes":{"a":{"label":"x"},"b":{}},"edges":[{"source":"a","target":"b","relation":"contains"}]}}`))
	f.Fuzz(func(_ *testing.T, text []byte) {
		s, err := spec.Parse(text)
		if err != nil {
			return
		}
		_, _ = s.GraphText(), s.GraphDOT()
		in := spec.NewInterpreter([]spec.Spec{s})
		var all []compat.Attribute
		for _, value := range []string{"true", "false", "6.8", "[1,2)", "a.b,", ""} {
			for _, key := range []string{"k", "abc", "p"} {
				all = append(all, compat.Attribute{Group: "g", Key: key, Value: value})
			}
		}
		_ = in.Requirements(all)
	})
}
