package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry"
)

// catalogOf runs commands on a new catalog of the corpus.
func catalogOf(t *testing.T) (db string, reg *fakeregistry.Registry, ask func(args ...string) string) {
	t.Helper()
	reg = fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	db = filepath.Join(t.TempDir(), "catalog.db")
	ask = func(args ...string) string {
		t.Helper()
		return toolOK(t, append([]string{"catalog", "--db", db}, args...)...)
	}
	ask("add", reg.Host())
	if out := ask("sync", "--rate", "0"); !strings.HasPrefix(out, "12 names in 1 sources: 12 new, 0 moved") {
		t.Fatal(out)
	}
	return db, reg, ask
}

func factsFile(t *testing.T, name string, f *facts.Facts) string {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, name, string(text))
}

func TestTheCatalogAnswersQuestions(t *testing.T) {
	t.Parallel()
	db, reg, ask := catalogOf(t)
	hpc, cloud := factsFile(t, "hpc.json", compattest.HPC()), factsFile(t, "cloud.json", compattest.Cloud())
	for _, tt := range []struct {
		name  string
		args  []string
		wants []string
		not   string
	}{
		{"query", []string{"query", "requires gpu.nvidia.cuda_version >= 12"}, []string{"/ai/torch:12", "linux/amd64"}, "torch:11"},
		{"query csv", []string{"query", "tag = stable", "-o", "csv"}, []string{"name,platform,variant,size,created,artifacts", "/web/nginx:stable,linux/arm64,sha256:"}, "NAME"},
		{"who-fits", []string{"who-fits", "--facts", hpc}, []string{"/hpc/lammps:2", "fits"}, "riscv"},
		{"unfit", []string{"unfit", "--facts", hpc, "--facts", cloud}, []string{"/exotic/riscv:1", "HPC", "CLOUD"}, "/hpc/lammps:1"},
		{"unused", []string{"unused", "--facts", hpc, "--where", `repository ~ "*lammps"`}, []string{"linux/arm64"}, "nginx"},
		{"best", []string{"best", "lammps", "--facts", cloud}, []string{"1      " + reg.Host() + "/hpc/lammps:1"}, "lammps:2"},
		{"diff", []string{"diff", "--from", "1h"}, []string{"new", "/bad/host:1"}, "moved"},
		{"show", []string{"show", reg.Host() + "/hpc/mpi:1", "--facts", hpc}, []string{
			"index sha256:", "requires mpi.host.implementation = openmpi", "artifact sha256:", "proposal-f (current)", "found in registry " + reg.Host(), "on hpc: fits: ",
		}, "nginx"},
		{"show with other names", []string{"show", reg.Host() + "/web/nginx:1"}, []string{"also named " + reg.Host() + "/web/nginx:stable"}, "requires"},
		{"stats", []string{"stats"}, []string{"variants with artifacts", "names                                 12"}, ""},
		{"sql", []string{"sql", "select count(*) as n from requirement where key = 'kernel.version'"}, []string{"N\n2"}, ""},
		{"sources", []string{"sources"}, []string{reg.Host(), "12"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := ask(tt.args...)
			for _, want := range tt.wants {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			if tt.not != "" && strings.Contains(out, tt.not) {
				t.Errorf("%q is in\n%s", tt.not, out)
			}
		})
	}
	got := tool(t, "", "catalog", "--db", db, "what-if", hpc, cloud)
	if !errors.Is(got.err, cli.ExitError(3)) || !strings.Contains(got.stdout, "stops") || !strings.Contains(got.stdout, "needs cpu.cpuid AVX512F (absent)") {
		t.Errorf("what-if: %v\n%s%s", got.err, got.stdout, got.stderr)
	}
	got = tool(t, "", "catalog", "--db", db, "what-if", hpc, "--facts-change", "kernel.version=6.12", "--facts-change", "cpu.cpuid/AVX512F=false")
	if !errors.Is(got.err, cli.ExitError(3)) || !strings.Contains(got.stdout, "stops    "+reg.Host()+"/bad/host:1") || !strings.Contains(got.stdout, "stops    "+reg.Host()+"/hpc/lammps:2") {
		t.Errorf("what-if with changes: %v\n%s%s", got.err, got.stdout, got.stderr)
	}
	wantError(t, tool(t, "", "catalog", "--db", db, "what-if", hpc).err, "what changes?", "--facts-change")
	got = tool(t, "", "catalog", "--db", db, "query", "name ~ x and cretaed > 3d")
	if got.err == nil || !strings.Contains(got.stderr, "column 14: there is no field \"cretaed\": is created meant?\n  name ~ x and cretaed > 3d\n               ^") {
		t.Errorf("syntax: %v\n%s", got.err, got.stderr)
	}
	for _, statement := range []string{"delete from tag", "insert into meta values ('a', 'b')", "pragma query_only=0; delete from tag"} {
		if got := tool(t, "", "catalog", "--db", db, "sql", statement); got.err == nil {
			t.Errorf("%s was allowed", statement)
		}
	}
	if out := ask("query", "tag = stable", "-o", "csv"); strings.Count(out, "\n") != 3 {
		t.Errorf("a statement changed the catalog: %s", out)
	}
	out := toolOK(t, "__complete", "catalog", "--db", db, "query", "requires gpu.")
	if !strings.Contains(out, "requires gpu.nvidia.cuda_version\n") {
		t.Errorf("completion: %s", out)
	}
}

func TestASyncTellsWhichSourceFailed(t *testing.T) {
	t.Parallel()
	db, reg, ask := catalogOf(t)
	ask("add", "127.0.0.1:1/gone")
	got := tool(t, "", "catalog", "--db", db, "sync", "--rate", "0", "-q")
	if !errors.Is(got.err, cli.ExitError(3)) || !strings.Contains(got.stderr, "127.0.0.1:1/gone could not be read as a whole: ") || !strings.Contains(got.stdout, "12 as before") {
		t.Errorf("%v\n%s%s", got.err, got.stdout, got.stderr)
	}
	if out := ask("sources", "-o", "csv"); !strings.Contains(out, "127.0.0.1:1/gone,0,,list") || !strings.Contains(out, reg.Host()+",12,") {
		t.Errorf("sources: %s", out)
	}
	if out := ask("remove", "127.0.0.1:1/gone"); !strings.HasPrefix(out, "removed: registry 127.0.0.1:1/gone") {
		t.Error(out)
	}
	ask("sync", "--rate", "0")
}

func TestACatalogThatCannotBeUsedIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.db")
	wantError(t, tool(t, "", "catalog", "--db", missing, "query").err, missing, "does not exist", "catalog add")
	foreign := write(t, "foreign.db", "these are not the bytes of a database, but they are enough to look like some: "+strings.Repeat("x", 100))
	for _, args := range [][]string{{"query"}, {"sync"}, {"add", "registry.example"}} {
		wantError(t, tool(t, "", append([]string{"catalog", "--db", foreign}, args...)...).err, foreign, "not an SQLite database")
	}
	got := tool(t, "", "catalog", "--db", "postgres://user:topsecret@127.0.0.1:1/db", "query")
	wantError(t, got.err, "PostgreSQL", "127.0.0.1")
	if strings.Contains(got.err.Error()+got.stderr, "topsecret") {
		t.Errorf("the password is shown: %v", got.err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a question made a catalog")
	}
}

func TestACatalogIsSharedAndCurated(t *testing.T) {
	t.Parallel()
	db, reg, ask := catalogOf(t)
	hpc, cloud := factsFile(t, "hpc.json", compattest.HPC()), factsFile(t, "cloud.json", compattest.Cloud())
	if out := ask("export", "--where", "tag = 12"); !strings.Contains(out, `{"key":"gpu.nvidia.cuda_version","op":"Ge","value":"12.4","importance":"required"}`) || strings.Count(out, "\n") != 1 {
		t.Errorf("jsonl: %s", out)
	}
	if out := ask("export", "-o", "csv", "--where", "repository ~ */ebpf"); !strings.Contains(out, ",kernel.version,Ge,6.8,required\n") {
		t.Errorf("csv: %s", out)
	}
	if out := ask("export", "-o", "intoto"); strings.Count(out, `"_type":"https://in-toto.io/Statement/v1"`) != 10 {
		t.Errorf("in-toto: %s", out)
	}
	if out := ask("plan", "--facts", cloud, "--newest", "0"); !strings.Contains(out, "keep     "+reg.Host()+"/web/nginx:1") || !strings.Contains(out, "remove   "+reg.Host()+"/hpc/lammps:2") {
		t.Errorf("plan: %s", out)
	}
	if out := ask("prefetch", "--facts", cloud, "--where", `repository ~ "*lammps"`); !strings.Contains(out, reg.Host()+"/hpc/lammps@sha256:") {
		t.Errorf("prefetch: %s", out)
	}
	page := ask("report", "--html", "-", "--facts", cloud, "--before", hpc)
	for _, want := range []string{"<html", "What the change breaks", "/hpc/lammps:2", "Variants without an artifact", "bad/host:1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	shared := reg.Host() + "/shared/catalog:1"
	if out := ask("push", shared); !strings.HasPrefix(out, shared+"@sha256:") {
		t.Errorf("push: %s", out)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	toolOK(t, "catalog", "--db", copied, "pull", shared)
	if a, b := ask("query"), toolOK(t, "catalog", "--db", copied, "query"); a != b {
		t.Errorf("the copy differs:\n%s\n%s", a, b)
	}
	wantError(t, tool(t, "", "catalog", "--db", copied, "pull", shared).err, copied, "exists", "--replace")
	wantError(t, tool(t, "", "catalog", "--db", db+".new", "pull", reg.Host()+"/web/nginx:1").err, "is not a catalog")
	toolOK(t, "catalog", "--db", copied, "pull", shared, "--replace")
}

func TestAMirrorHasOnlyWhatNodesChoose(t *testing.T) {
	t.Parallel()
	db, reg, ask := catalogOf(t)
	mirror := fakeregistry.New(t, fakeregistry.Options{Strict: true})
	cloud := factsFile(t, "cloud.json", compattest.Cloud())
	where := `repository ~ "*/hpc/*" or tag = stable`
	if out := ask("mirror", "--to", mirror.Host()+"/copy", "--facts", cloud, "--where", where, "--dry-run"); !strings.Contains(out, mirror.Host()+"/copy/hpc/mpi:1") || len(mirror.Recorded()) > 0 {
		t.Errorf("dry run: %s", out)
	}
	got := tool(t, "", "catalog", "--db", db, "mirror", "--to", mirror.Host()+"/copy", "--facts", cloud, "--where", where, "-o", "csv")
	if got.err != nil {
		t.Fatalf("%v\n%s%s", got.err, got.stdout, got.stderr)
	}
	out := got.stdout
	if !strings.Contains(out, "/copy/hpc/lammps:1,linux/amd64,2,\n") || strings.Contains(out, "lammps:2") {
		t.Errorf("mirror: %s", out)
	}
	body, _ := mirror.In("copy/hpc/lammps").Content("1")
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil || len(index.Manifests) != 1 || !strings.HasPrefix(index.Annotations["imagefit.dev/mirror-of"], reg.Host()+"/hpc/lammps:1@sha256:") {
		t.Fatalf("%v %s", err, body)
	}
	// What imagefit reads at the mirror is what it reads at the origin.
	copied := filepath.Join(t.TempDir(), "mirror.db")
	toolOK(t, "catalog", "--db", copied, "add", mirror.Host())
	toolOK(t, "catalog", "--db", copied, "sync", "--rate", "0")
	for query, want := range map[string]string{
		"requires cpu.cpuid.AVX2":    "/copy/hpc/lammps:1,linux/amd64",
		"requires mpi.host":          "/copy/hpc/mpi:1,linux/amd64",
		"tag = stable and names = 1": "/copy/web/nginx:stable,linux/amd64",
	} {
		if out := toolOK(t, "catalog", "--db", copied, "query", query, "-o", "csv"); !strings.Contains(out, want) || strings.Count(out, "\n") != 2 {
			t.Errorf("%s: %s", query, out)
		}
	}
}

// Nodes use the mirror by the files that are written for them: for content alone, or
// without its registry.
func TestNodesAreToldHowToUseAMirror(t *testing.T) {
	t.Parallel()
	_, reg, ask := catalogOf(t)
	mirror := fakeregistry.New(t, fakeregistry.Options{})
	cloud := factsFile(t, "cloud.json", compattest.Cloud())
	lammps := named(t, reg.Host()+"/hpc/lammps:1")
	for _, tt := range []struct {
		name string
		args []string
	}{{"content", nil}, {"all", []string{"--resolve"}}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			ask(append([]string{"mirror", "--to", mirror.Host() + "/copy", "--facts", cloud, "--where", "repository ~ */lammps", "--hosts", dir}, tt.args...)...)
			r := registry.New(registry.Options{HostsPath: dir})
			t.Cleanup(r.Close)
			repo, err := r.Repository(lammps, nil)
			if err != nil {
				t.Fatal(err)
			}
			reg.Forget()
			mirror.Forget()
			top, text, err := repo.Fetch(t.Context(), "1")
			if err != nil {
				t.Fatal(err)
			}
			var index ocispec.Index
			if err := json.Unmarshal(text, &index); err != nil {
				t.Fatal(err)
			}
			at, entries := reg, 3 // of the registry
			if tt.name == "all" {
				at, entries = mirror, 1
			}
			if len(index.Manifests) != entries || len(at.Recorded()) == 0 {
				t.Errorf("%s: %d entries, want %d", top.Digest, len(index.Manifests), entries)
			}
			reg.Forget()
			mirror.Forget()
			variant := index.Manifests[(len(index.Manifests)-1)/2] // the one for AVX2
			if _, err := repo.Manifest(t.Context(), variant); err != nil || len(reg.Recorded()) > 0 || len(mirror.Recorded()) == 0 {
				t.Errorf("the variant: %v, %d requests to the registry, %d to the mirror", err, len(reg.Recorded()), len(mirror.Recorded()))
			}
			file := filepath.Join(dir, reg.Host(), "hosts.toml")
			if err := os.WriteFile(file, []byte("server = \"https://other.example\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			got := tool(t, "", "catalog", "--db", filepath.Join(t.TempDir(), "x.db"), "mirror", "--to", "x.example", "--resolve")
			wantError(t, got.err, "--resolve", "--hosts")
			ask(append([]string{"mirror", "--to", mirror.Host() + "/copy", "--facts", cloud, "--where", "repository ~ */lammps", "--hosts", dir}, tt.args...)...)
			if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "other.example") {
				t.Errorf("a file of somebody else: %v %s", err, text)
			}
		})
	}
}

func named(t *testing.T, ref string) reference.Named {
	t.Helper()
	n, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Images of two registries are not copied over each other.
func TestCopiesDoNotReplaceEachOther(t *testing.T) {
	t.Parallel()
	first, second, mirror := fakeregistry.New(t, fakeregistry.Options{}), fakeregistry.New(t, fakeregistry.Options{}), fakeregistry.New(t, fakeregistry.Options{})
	first.In("app").Image("linux/amd64", "first", "1")
	second.In("app").Image("linux/amd64", "second", "1")
	db := filepath.Join(t.TempDir(), "catalog.db")
	toolOK(t, "catalog", "--db", db, "add", first.Host(), second.Host())
	toolOK(t, "catalog", "--db", db, "sync", "--rate", "0")
	got := tool(t, "", "catalog", "--db", db, "mirror", "--to", mirror.Host(), "--facts", factsFile(t, "cloud.json", compattest.Cloud()), "-o", "csv")
	if !errors.Is(got.err, cli.ExitError(3)) || strings.Count(got.stdout, "has this name") != 1 {
		t.Errorf("%v\n%s", got.err, got.stdout)
	}
}
