package imagefit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/imagefit/imagefit/"

// layers is the order of our packages: each imports only packages of the layers
// below its own. docs/develop.md describes it.
func layers() [][]string {
	return [][]string{
		{"pkg/placement/hostlist", "internal/textutil", "internal/fsutil", "internal/throttle", "pkg/secret", "pkg/version", "pkg/author/isa", "pkg/page", "pkg/trust"},
		{"pkg/tomlerr", "pkg/unixsocket", "pkg/compat/document", "pkg/facts", "pkg/policy"},
		{"pkg/compat", "pkg/hostfacts/archspec", "pkg/hostfacts/nvidia"},
		{"pkg/compat/spec", "pkg/nodeclass"},
		{"pkg/compat/dialect", "pkg/hostfacts/operator"},
		{"pkg/hostfacts", "pkg/selector", "pkg/description", "pkg/config", "pkg/decisionlog", "pkg/cache", "pkg/names", "pkg/tracing"},
		{"pkg/hostfacts/snapshot", "pkg/nodefeature", "pkg/tracing/otlp", "pkg/registry", "pkg/registry/index", "pkg/cri", "pkg/systemd", "pkg/health"},
		{"pkg/registry/referrers", "pkg/crio", "pkg/metrics"},
		{"pkg/containerd"},
		{"pkg/containerd/images"},
		{"pkg/decision"},
		{"pkg/placement"},
		{"pkg/criproxy", "pkg/admission", "pkg/audit", "pkg/backfill", "pkg/placement/slurm", "pkg/placement/flux", "pkg/author/lint", "pkg/author/inspect", "pkg/author/convert", "pkg/author/attach", "pkg/author/sign", "pkg/preflight", "pkg/whatif"},
		{"pkg/author/publish", "pkg/install"},
		{"pkg/catalog"},
		{"internal/cli", "internal/wiring"},
		{"pkg/daemon", "pkg/controller"},
		{"cmd/cri-proxy", "cmd/nri-plugin", "cmd/imagefit", "cmd/imagefit-controller"},
	}
}

// pure are the packages that compute and nothing else: no files, no network, no
// log, no clock.
func pure() []string {
	return []string{
		"pkg/facts", "pkg/policy", "pkg/selector", "pkg/compat", "pkg/compat/document", "pkg/compat/spec", "pkg/compat/dialect",
		"pkg/description", "pkg/hostfacts/archspec", "pkg/hostfacts/nvidia", "pkg/version", "pkg/tomlerr", "internal/textutil", "pkg/author/isa", "pkg/page",
		"pkg/nodeclass", "pkg/placement/hostlist", "pkg/trust",
	}
}

func TestPackagesImportOnlyWhatIsBelowThem(t *testing.T) {
	t.Parallel()
	level := map[string]int{}
	for i, layer := range layers() {
		for _, pkg := range layer {
			level[pkg] = i
		}
	}
	packages := parseTree(t, "pkg", "cmd", "internal")
	for folder, files := range packages {
		if strings.HasPrefix(folder, "internal/testkit") || strings.HasSuffix(folder, "test") {
			continue // helpers of tests
		}
		mine, known := level[folder]
		if !known {
			t.Errorf("%s is in no layer: add it to layers() and docs/develop.md", folder)
			continue
		}
		for _, other := range ownImports(t, files) {
			if level[other] >= mine {
				t.Errorf("%s imports %s, which is not in a layer below it", folder, other)
			}
		}
	}
	for pkg := range level {
		if packages[pkg] == nil {
			t.Errorf("layers() names %s, which does not exist", pkg)
		}
	}
}

// TestOnlyTheControllerImportsKubernetes: its client library is larger than all that runs
// on a node.
func TestOnlyTheControllerImportsKubernetes(t *testing.T) {
	t.Parallel()
	for folder, files := range parseTree(t, "pkg", "cmd", "internal") {
		if folder == "pkg/controller" || folder == "cmd/imagefit-controller" {
			continue
		}
		for _, file := range files {
			for _, spec := range file.Imports {
				name := imported(t, spec)
				if strings.HasPrefix(name, "k8s.io/") && !strings.HasPrefix(name, "k8s.io/cri-api/") || name == module+"pkg/controller" {
					t.Errorf("%s imports %s", folder, name)
				}
			}
		}
	}
}

func TestPurePackagesTouchNothingOutside(t *testing.T) {
	t.Parallel()
	packages := parseTree(t, "pkg", "internal")
	forbidden := []string{"os", "net", "net/http", "log", "log/slog", "syscall", "os/exec", "path/filepath", "golang.org/x/sys/unix"}
	for _, folder := range pure() {
		for _, file := range packages[folder] {
			for _, spec := range file.Imports {
				name := imported(t, spec)
				own, isOwn := strings.CutPrefix(name, module)
				if slices.Contains(forbidden, name) || isOwn && !slices.Contains(pure(), own) {
					t.Errorf("%s imports %s", folder, name)
				}
			}
		}
		for _, name := range clockReaders(t, folder) {
			t.Errorf("%s reads the clock: time.%s", folder, name)
		}
	}
}

// clockReaders returns the functions of package time by which a package depends on
// when it is called.
func clockReaders(t *testing.T, folder string) (calls []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range paths {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := selector.X.(*ast.Ident)
			if ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "Sleep", "NewTimer", "NewTicker"}, selector.Sel.Name) {
				calls = append(calls, selector.Sel.Name)
			}
			return true
		})
	}
	return calls
}

// The daemons run on every node: what only the tool needs, such as databases, is not in
// them.
func TestTheDaemonsAreLight(t *testing.T) {
	t.Parallel()
	packages := parseTree(t, "pkg", "cmd", "internal")
	seen, left := map[string]bool{}, []string{"cmd/cri-proxy", "cmd/nri-plugin"}
	for len(left) > 0 {
		folder := left[0]
		if left = left[1:]; seen[folder] {
			continue
		}
		seen[folder] = true
		left = append(left, ownImports(t, packages[folder])...)
	}
	for _, heavy := range []string{"pkg/catalog", "pkg/page", "pkg/author/inspect", "pkg/install"} {
		if seen[heavy] {
			t.Errorf("a daemon imports %s", heavy)
		}
	}
	if !seen["pkg/registry"] {
		t.Error("the imports of the daemons were not followed")
	}
}

// html/template calls methods by their names, and so the linker keeps all of them.
func TestTheDaemonsAreLinkedWithoutUnusedMethods(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(makefile), "\nTAGS := ")
	tags, _, _ := strings.Cut(rest, "\n")
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", tags, "./cmd/cri-proxy", "./cmd/nri-plugin")
	packages, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	if all := strings.Fields(string(packages)); len(all) < 100 || slices.Contains(all, "html/template") {
		t.Errorf("with the tags %q, the daemons have %d packages, html/template among them", tags, len(all))
	}
}

func TestEveryPackageIsInTheGuideForDevelopers(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("docs/develop.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(guide), "## The path of a pull")
	for _, pkg := range slices.Concat(layers()...) {
		parent, name := path.Split(pkg)
		grouped := regexp.MustCompile(regexp.QuoteMeta("`"+parent+"{") + `[a-z0-9,-]*\b` + regexp.QuoteMeta(name) + `\b[a-z0-9,-]*}`)
		if !strings.Contains(table, "`"+pkg+"`") && !grouped.MatchString(table) {
			t.Errorf("docs/develop.md does not name %s", pkg)
		}
	}
}

func ownImports(t *testing.T, files []*ast.File) (own []string) {
	t.Helper()
	for _, file := range files {
		for _, spec := range file.Imports {
			if name, ok := strings.CutPrefix(imported(t, spec), module); ok {
				own = append(own, name)
			}
		}
	}
	return own
}
