package selector_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// impure is what a decision must not depend on: only what is handed in matters.
var impure = []string{"context", "log/slog", "net", "net/http", "os", "os/exec", "syscall", "golang.org/x/sys/unix"}

func TestSelectorAndPolicyReachNoSystemNetworkLogOrClock(t *testing.T) {
	t.Parallel()
	const module = "github.com/imagefit/imagefit/"
	queue, seen := []string{module + "pkg/selector", module + "pkg/policy"}, map[string]bool{}
	for len(queue) > 0 {
		pkg := queue[0]
		queue = queue[1:]
		if seen[pkg] {
			continue
		}
		seen[pkg] = true
		folder := filepath.Join("../..", strings.TrimPrefix(pkg, module))
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files in %s, %v", pkg, folder, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, path := range importsOf(t, name) {
				switch {
				case slices.Contains(impure, path):
					t.Errorf("%s imports %s", name, path)
				case strings.HasPrefix(path, module):
					queue = append(queue, path)
				}
			}
		}
	}
}

// importsOf returns what a file imports. Asking for the time counts as an import
// of the operating system.
func importsOf(t *testing.T, name string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.SelectorExpr); ok && (call.Sel.Name == "Now" || call.Sel.Name == "Since") {
			if from, ok := call.X.(*ast.Ident); ok && from.Name == "time" {
				paths = append(paths, "os")
			}
		}
		return true
	})
	return paths
}
