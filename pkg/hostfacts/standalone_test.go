package hostfacts

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFewModulesComeWithThePackage: a program that takes this package takes few modules with it.
func TestFewModulesComeWithThePackage(t *testing.T) {
	t.Parallel()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go tool: ", err)
	}
	out, err := exec.Command(goTool, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Skip("go list: ", err)
	}
	modules := slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
	t.Logf("%d modules: %s", len(modules), strings.Join(modules, " "))
	if len(modules) == 0 || len(modules) >= 15 {
		t.Errorf("%d modules, want fewer than 15", len(modules))
	}
}

// TestNoFileHasCommandsCOrInit looks at the files of all systems.
func TestNoFileHasCommandsCOrInit(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, below...)
	files := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files++
		for _, spec := range file.Imports {
			if slices.Contains([]string{`"C"`, `"os/exec"`, `"plugin"`, `"net/http"`}, spec.Path.Value) {
				t.Errorf("%s imports %s", name, spec.Path.Value)
			}
		}
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
				t.Errorf("%s has an init function", name)
			}
		}
	}
	if files < 20 {
		t.Errorf("only %d files were looked at", files)
	}
}
