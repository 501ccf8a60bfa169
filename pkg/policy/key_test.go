package policy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/policy"
)

func TestEveryCaseHasAKeyAndEveryKeyACase(t *testing.T) {
	t.Parallel()
	answers, arose := reflect.TypeFor[policy.Answers](), reflect.TypeFor[policy.Arose]()
	for field := range arose.Fields() {
		if key, ok := answers.FieldByName(field.Name); !ok || key.Tag.Get("case") == "" {
			t.Errorf("Arose.%s has no key in Answers with a case", field.Name)
		}
	}
	for field := range answers.Fields() {
		_, ok := arose.FieldByName(field.Name)
		if isCase := field.Name != "Mode"; ok != isCase {
			t.Errorf("Answers.%s is among the cases: %t, want %t", field.Name, ok, isCase)
		}
	}
	if got, want := len(policy.Keys()), arose.NumField(); got != want {
		t.Errorf("%d keys, want %d", got, want)
	}
}

func TestCasesNameTheKeyAndTheAnswerThatWasGiven(t *testing.T) {
	t.Parallel()
	got := policy.Default().Cases(policy.Arose{NoFit: true, UnknownAttribute: true})
	want := []policy.Case{{Key: "unknown_attribute", Answer: policy.Unknown}, {Key: "no_fit", Answer: policy.Refuse}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := policy.Default().Cases(policy.Arose{}); got != nil {
		t.Errorf("without a case: %v", got)
	}
}

// A key that is configured, documented and counted, and read by no code, would
// promise what imagefit does not do.
func TestEveryKeyIsReadByTheCode(t *testing.T) {
	t.Parallel()
	read := selectors(t, "..")
	for _, table := range []reflect.Type{reflect.TypeFor[policy.Answers](), reflect.TypeFor[policy.Policy]()} {
		for field := range table.Fields() {
			if !field.Anonymous && !read[field.Name] {
				t.Errorf("no code reads %s.%s (key %s)", table.Name(), field.Name, field.Tag.Get("toml"))
			}
		}
	}
}

// selectors returns the names that product code outside of the configuration
// selects from something, as in answers.NoFit; assignments to them and fields of
// Arose do not count.
func selectors(t *testing.T, root string) map[string]bool {
	t.Helper()
	names, files := map[string]bool{}, token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && entry.Name() == "config" {
			return cmpSkip(err)
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				names[selector.Sel.Name] = true
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func cmpSkip(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}
