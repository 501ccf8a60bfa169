// Package imagefit_test holds the conventions of the whole repository.
package imagefit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// parseTree returns the Go files under the folders, without tests and only down
// to their imports, by package folder.
func parseTree(t *testing.T, folders ...string) map[string][]*ast.File {
	t.Helper()
	packages := map[string][]*ast.File{}
	files := token.NewFileSet()
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(files, path, nil, parser.ImportsOnly|parser.ParseComments)
			if err != nil {
				return err
			}
			packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], file)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(packages) == 0 {
			t.Fatalf("no package under %s", folder)
		}
	}
	return packages
}

func TestEveryPackageHasOneDocComment(t *testing.T) {
	t.Parallel()
	for folder, files := range parseTree(t, "pkg", "cmd") {
		var comments []string
		for _, file := range files {
			if file.Doc != nil {
				comments = append(comments, file.Doc.Text())
			}
		}
		name := files[0].Name.Name
		start := "Package " + name + " "
		if name == "main" {
			start = "Command " + filepath.Base(folder) + " "
		}
		if len(comments) != 1 || !strings.HasPrefix(comments[0], start) {
			t.Errorf("%s has %d package comments, want one that begins with %q: %q", folder, len(comments), start, comments)
		}
	}
}

// What runs on every node starts no other program. The tool does where a person names
// kubectl or scontrol, and imagefit-controller where it sets a node up.
func TestProductCodeDoesNotImportOSExec(t *testing.T) {
	t.Parallel()
	for folder, files := range parseTree(t, "pkg", "cmd") {
		for _, file := range files {
			for _, spec := range file.Imports {
				if imported(t, spec) == "os/exec" && folder != "cmd/imagefit" && folder != "cmd/imagefit-controller" {
					t.Errorf("%s imports os/exec", folder)
				}
			}
		}
	}
}

func TestProductCodeDoesNotImportTheTestkit(t *testing.T) {
	t.Parallel()
	for folder, files := range parseTree(t, "pkg", "cmd", "internal") {
		for _, file := range files {
			for _, spec := range file.Imports {
				if strings.Contains(imported(t, spec), "/testkit") && !strings.HasPrefix(filepath.ToSlash(folder), "internal/testkit") {
					t.Errorf("%s imports %s", folder, spec.Path.Value)
				}
			}
		}
	}
}

func imported(t *testing.T, spec *ast.ImportSpec) string {
	t.Helper()
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
