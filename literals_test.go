package imagefit_test

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

// literal is a string literal of product code. Literals that are added up are
// one; what is between them is a gap.
type literal struct {
	folder, position, value string
}

// gap is what a program puts into a text when it runs.
const gap = "\x00"

// literals returns the string literals of the product, without those of tests,
// import paths and struct tags.
func literals(t *testing.T) []literal {
	t.Helper()
	var all []literal
	set := token.NewFileSet()
	for _, path := range slices.Concat(filesUnder(t, "pkg"), filesUnder(t, "cmd"), filesUnder(t, "internal")) {
		forTests := strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.ToSlash(path), "internal/testkit/")
		if !strings.HasSuffix(path, ".go") || forTests {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		add := func(at token.Pos, value string) {
			all = append(all, literal{filepath.ToSlash(filepath.Dir(path)), set.Position(at).String(), value})
		}
		ast.Inspect(file, func(node ast.Node) bool { return visit(node, add) })
	}
	return all
}

// visit reports whether what is below the node has literals of its own.
func visit(node ast.Node, add func(token.Pos, string)) bool {
	switch n := node.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.Field:
		if n.Tag != nil { // a struct tag
			ast.Inspect(n.Type, func(node ast.Node) bool { return visit(node, add) })
			return false
		}
	case *ast.BinaryExpr:
		if text := joined(n); n.Op == token.ADD && strings.Trim(text, gap) != "" {
			add(n.Pos(), text)
			return false
		}
	case *ast.BasicLit:
		if n.Kind == token.STRING {
			add(n.Pos(), joined(n))
		}
	}
	return true
}

// joined is the text that an expression has, as far as it is in the source.
func joined(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return joined(e.X) + joined(e.Y)
		}
	case *ast.ParenExpr:
		return joined(e.X)
	}
	return gap
}
