package selector_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestImportsNothingImpure: the choice depends on nothing but what is handed
// in. No os, io, net, time, context or logger: only what is listed here.
func TestImportsNothingImpure(t *testing.T) {
	t.Parallel()
	const module = "github.com/imagefit/imagefit/pkg/"
	allowed := map[string]bool{
		"cmp": true, "regexp": true, "slices": true, "strconv": true, "strings": true,
		module + "compat": true, module + "hostfacts": true, module + "version": true,
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil || !allowed[path] {
				t.Errorf("%s imports %s", name, spec.Path.Value)
			}
		}
	}
}
