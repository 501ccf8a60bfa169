package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/facts"
)

// corpusNodes writes the facts of three machine types, and returns their folder.
func corpusNodes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, node := range map[string]*facts.Facts{"hpc": compattest.HPC(), "cloud": compattest.Cloud(), "arm": compattest.ARM()} {
		text, err := json.Marshal(node)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// corpusImages are the names of the corpus.
func corpusImages(t *testing.T, reg *fakeregistry.Registry) (names []string, file string) {
	t.Helper()
	for _, name := range []string{
		"ai/torch:11", "ai/torch:12", "bad/host:1", "bad/lint:1", "exotic/riscv:1", "hpc/lammps:1", "hpc/lammps:2", "hpc/mpi:1",
		"mirror/nginx:1", "net/ebpf:1", "web/nginx:1", "web/nginx:stable",
	} {
		names = append(names, reg.Host()+"/"+name)
	}
	return names, write(t, "images.txt", strings.Join(names, "\n")+"\n")
}

// What a sync could not read is answered as it was, and said.
func TestAnAnswerFromACatalogThatMayBeOldSaysSo(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	db, reg, ask := catalogOf(t)
	args := []string{"match", reg.Host() + "/hpc/lammps:1", "--catalog", db, "--nodes", corpusNodes(t)}
	fresh := tool(t, "", args...)
	if fresh.err != nil || fresh.stderr != "" {
		t.Fatalf("%v %s", fresh.err, fresh.stderr)
	}
	reg.Close()
	ask("add", "127.0.0.1:1/never")
	old := tool(t, "", args...)
	wantTexts(t, old.stderr, "the catalog may lack images of 127.0.0.1:1/never: no sync has read all of it")
	_ = tool(t, "", "catalog", "--db", db, "sync", "--rate", "0", "-q")
	old = tool(t, "", args...)
	if old.err != nil || old.stdout != fresh.stdout {
		t.Errorf("%v %s", old.err, old.stdout)
	}
	wantTexts(t, old.stderr, "the catalog may be out of date: its last sync could not read all of "+reg.Host()+" (read as a whole: 20",
		"could not read all of 127.0.0.1:1/never (read as a whole: never): ")
}

// The answer from a catalog is that from registries, word for word, and no registry is
// asked for it.
func TestACatalogAnswersAsItsRegistriesDo(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	db, reg, _ := catalogOf(t)
	nodes := corpusNodes(t)
	_, images := corpusImages(t, reg)
	lammps := reg.Host() + "/hpc/lammps:1"
	questions := map[string][]string{
		"match":                {"match", "--images", images, "--nodes", nodes, "-o", "json"},
		"match csv":            {"match", "--images", images, "--nodes", nodes, "-o", "csv"},
		"match of one":         {"match", lammps, "--nodes", nodes},
		"match for Slurm":      {"match", lammps, "--nodes", nodes, "-o", "slurm-constraint"},
		"match for Kubernetes": {"match", lammps, reg.Host() + "/hpc/mpi:1", "--nodes", nodes, "-o", "nodeaffinity"},
		"audit":                {"audit", "--images", images, "--facts", nodes, "--all"},
		"audit json":           {"audit", "--images", images, "--facts", nodes, "-o", "json"},
		"audit of a change":    {"audit", "--images", images, "--facts", nodes, "--facts-change", "cpu.cpuid/AVX512F=false"},
		"facts diff":           {"facts", "diff", filepath.Join(nodes, "hpc.json"), filepath.Join(nodes, "cloud.json"), "--images", images},
		"facts diff json":      {"facts", "diff", filepath.Join(nodes, "hpc.json"), filepath.Join(nodes, "cloud.json"), "--images", images, "-o", "json"},
		"match by facts":       {"match", lammps, "--nodes", nodes, "-o", "flux-constraint", "--by", "facts"},
		"export classes":       {"export", "classes", "--images", images, "--nodes", nodes},
	}
	answers := map[string]result{}
	for name, args := range questions {
		answers[name] = tool(t, "", args...)
	}
	asked := len(reg.Recorded())
	reg.Close()
	for name, args := range questions {
		want, got := answers[name], tool(t, "", append(args, "--catalog", db)...)
		if got != want || want.stdout == "" {
			t.Errorf("%s\n%v\n%s%s\nwant\n%v\n%s%s", name, got.err, got.stdout, got.stderr, want.err, want.stdout, want.stderr)
		}
	}
	// Without images, those of the catalog are meant.
	for _, name := range []string{"match", "match csv", "audit", "audit json", "audit of a change", "facts diff", "facts diff json", "export classes"} {
		args := append([]string{}, questions[name]...)
		args = append(args[:len(args):len(args)], "--catalog", db)
		for i, arg := range args {
			if arg == "--images" {
				args = append(args[:i], args[i+2:]...)
				break
			}
		}
		if got := tool(t, "", args...); got != answers[name] {
			t.Errorf("%s of all\n%v\n%s%s\nwant\n%s", name, got.err, got.stdout, got.stderr, answers[name].stdout)
		}
	}
	if n := len(reg.Recorded()); n != asked {
		t.Errorf("%d requests to the registry", n-asked)
	}
}

func TestImagesOfACatalogAreNamedOrDescribed(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	db, reg, _ := catalogOf(t)
	reg.Close()
	nodes := corpusNodes(t)
	lammps, missing := reg.Host()+"/hpc/lammps:1", reg.Host()+"/hpc/gromacs:1"
	out := toolOK(t, "match", "--catalog", db, "--where", `name ~ "*lammps:1"`, "--nodes", nodes, "-o", "csv")
	if strings.Count(out, "\n") != 4 || strings.Count(out, lammps+",") != 3 {
		t.Errorf("--where: %s", out)
	}
	t.Setenv(catalogEnv, db)
	if got := toolOK(t, "match", "--catalog", "", "--where", `name ~ "*lammps:1"`, "--nodes", nodes, "-o", "csv"); got != out {
		t.Errorf("the usual catalog: %s", got)
	}

	const absent = "has no image "
	got := tool(t, "", "match", lammps, missing, "--catalog", db, "--nodes", nodes)
	wantError(t, got.err, db, absent+missing)
	wantTexts(t, got.stdout, lammps, "fits", missing, absent)
	got = tool(t, "", "match", lammps, missing, "--catalog", db, "--nodes", nodes, "-o", "slurm-constraint")
	wantError(t, got.err, absent+missing)
	if got.stdout != "" {
		t.Errorf("a constraint without all images: %s", got.stdout)
	}
	got = tool(t, "", "audit", "--images", write(t, "images", lammps+"\n"+missing+"\n"), "--catalog", db, "--facts", nodes)
	wantError(t, got.err, absent+missing)
	wantTexts(t, got.stdout, missing, absent, "2 images on 3 hosts", "3 unknown")
	wantError(t, tool(t, "", "export", "classes", "--images", write(t, "images", missing), "--catalog", db, "--nodes", nodes).err, absent+missing)

	empty := write(t, "empty", "# none\n")
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no catalog":          {[]string{"match", lammps, "--catalog", db + ".missing", "--nodes", nodes}, "does not exist"},
		"nothing":             {[]string{"match", "--nodes", nodes}, "which images?"},
		"an empty list":       {[]string{"match", "--images", empty, "--catalog", db, "--nodes", nodes}, "which images?"},
		"an empty list, all":  {[]string{"export", "classes", "--images", empty, "--catalog", db, "--nodes", nodes}, "--images lists no image"},
		"where alone":         {[]string{"match", lammps, "--where", "tag = 1", "--nodes", nodes}, "give --catalog, too"},
		"where alone, audit":  {[]string{"audit", "--where", "tag = 1"}, "give --catalog, too"},
		"where and an image":  {[]string{"match", lammps, "--catalog", db, "--where", "tag = 1", "--nodes", nodes}, "leave it out where images are named"},
		"nothing matches":     {[]string{"match", "--catalog", db, "--where", "tag = 77", "--nodes", nodes}, "has no image that matches"},
		"no catalog, audit":   {[]string{"audit", "--catalog", db + ".missing", "--facts", nodes}, "does not exist"},
		"a reference of none": {[]string{"match", "UPPER", "--catalog", db, "--nodes", nodes}, absent + "UPPER"},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, tool(t, "", tt.args...).err, tt.want) })
	}
	if got := tool(t, "", "match", "--catalog", db, "--where", "tga = 1", "--nodes", nodes); got.err != cli.ExitError(1) || !strings.Contains(got.stderr, "is tag meant?") {
		t.Errorf("%v %s", got.err, got.stderr)
	}
}
