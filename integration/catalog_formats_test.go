package integration

import (
	"encoding/csv"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	intoto "github.com/in-toto/attestation/go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sylabs/sif/v2/pkg/sif"
	"google.golang.org/protobuf/encoding/protojson"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// catalogOf runs commands on a catalog of its own.
func catalogOf(t *testing.T) func(args ...string) string {
	t.Helper()
	db := filepath.Join(t.TempDir(), "catalog.db")
	return func(args ...string) string {
		t.Helper()
		out, errs, code := tool(t, append([]string{"catalog", "--db", db}, args...)...)
		if code != 0 {
			t.Fatalf("catalog %q ended with %d: %s", args, code, errs)
		}
		return out
	}
}

// What a catalog exports is read by the readers of others: statements by in-toto's own
// library, rows by a reader of CSV, lines by one of JSON.
func TestExportsOfACatalogAreReadByOthers(t *testing.T) {
	reg := fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	ask := catalogOf(t)
	ask("add", reg.Host())
	ask("sync", "--rate", "0", "-q")
	statements := strings.Split(strings.TrimSpace(ask("export", "-o", "intoto")), "\n")
	subjects := map[string]bool{}
	for _, line := range statements {
		var s intoto.Statement
		if err := protojson.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		for _, subject := range s.GetSubject() {
			subjects[subject.GetName()] = len(subject.GetDigest()["sha256"]) == 64
		}
	}
	if !subjects[reg.Host()+"/hpc/lammps:1"] || len(subjects) < 6 {
		t.Errorf("subjects %v", subjects)
	}
	rows, err := csv.NewReader(strings.NewReader(ask("export", "-o", "csv"))).ReadAll()
	if err != nil || len(rows) < 20 || len(rows[0]) != 8 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	lines := json.NewDecoder(strings.NewReader(ask("export", "-o", "jsonl")))
	names := map[string]bool{}
	for lines.More() {
		var line struct{ Name string }
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		names[line.Name] = true
	}
	if len(names) != 12 {
		t.Errorf("names %v", names)
	}
}

func sifInput(t *testing.T, kind sif.DataType, text []byte, options ...sif.DescriptorInputOpt) sif.DescriptorInput {
	t.Helper()
	input, err := sif.NewDescriptorInput(kind, strings.NewReader(string(text)), options...)
	if err != nil {
		t.Fatal(err)
	}
	return input
}

// makeSIF makes a file by the library of Singularity, with an object that was deleted.
func makeSIF(t *testing.T, path string, inputs ...sif.DescriptorInput) {
	t.Helper()
	inputs = append([]sif.DescriptorInput{sifInput(t, sif.DataGeneric, []byte("deleted"))}, inputs...)
	f, err := sif.CreateContainerAtPath(path, sif.OptCreateWithDescriptors(inputs...), sif.OptCreateWithLaunchScript("#!/usr/bin/env run-singularity\n"))
	if err == nil {
		err = f.DeleteObject(1)
	}
	if err == nil {
		err = f.UnloadContainer()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// SIF files as Singularity's own library writes them, with a file system and with the blobs
// of an OCI image, are sources.
func TestSIFFilesOfSingularitysLibraryAreSources(t *testing.T) {
	reg := fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	dir, layout := t.TempDir(), t.TempDir()
	makeSIF(t, filepath.Join(dir, "plain.sif"),
		sifInput(t, sif.DataDeffile, []byte("bootstrap: docker\n")),
		sifInput(t, sif.DataGenericJSON, []byte(catalogtest.F(catalogtest.NeedsOpenMPI)), sif.OptObjectName("compatibility.json")),
		sifInput(t, sif.DataPartition, []byte("hsqs"), sif.OptPartitionMetadata(sif.FsSquash, sif.PartPrimSys, "arm64")))
	from, err := remote.NewRepository(reg.Host() + "/hpc/lammps")
	if err != nil {
		t.Fatal(err)
	}
	from.PlainHTTP = true
	to, err := oci.New(layout)
	if err == nil {
		_, err = oras.ExtendedCopy(t.Context(), from, "1", to, "1", oras.DefaultExtendedCopyOptions)
	}
	if err != nil {
		t.Fatal(err)
	}
	body, _ := reg.In("hpc/lammps").Content("1")
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		t.Fatal(err)
	}
	for _, d := range index.Manifests {
		if err := oras.ExtendedCopyGraph(t.Context(), from, to, d, oras.DefaultExtendedCopyGraphOptions); err != nil {
			t.Fatal(err)
		}
	}
	var inputs []sif.DescriptorInput
	err = fs.WalkDir(os.DirFS(layout), "blobs/sha256", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(layout, path))
		inputs = append(inputs, sifInput(t, sif.DataOCIBlob, text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	makeSIF(t, filepath.Join(dir, "oci.sif"), append(inputs, sifInput(t, sif.DataOCIRootIndex, root))...)

	ask := catalogOf(t)
	ask("add", "--dir", dir)
	ask("sync", "-q")
	for query, want := range map[string]string{
		"requires mpi.host":          "/plain.sif:plain.sif,linux/arm64",
		"requires cpu.cpuid.AVX512F": "/oci.sif:1,linux/amd64",
	} {
		if out := ask("query", query, "-o", "csv"); !strings.Contains(out, want) || strings.Count(out, "\n") != 2 {
			t.Errorf("%s: %s, want %s", query, out, want)
		}
	}
	out := ask("query", "name ~ *oci.sif*", "-o", "csv")
	for _, d := range index.Manifests {
		if !strings.Contains(out, d.Digest.String()) {
			t.Errorf("the file lacks %s: %s", d.Digest, out)
		}
	}
}

// match, audit, facts diff and export read what images need from PostgreSQL as from a file.
func TestQuestionsAreAnsweredFromPostgreSQL(t *testing.T) {
	p := newPostgres(t)
	reg := fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	file, dir := filepath.Join(t.TempDir(), "catalog.db"), t.TempDir()
	for _, db := range []string{file, p.URL} {
		for _, args := range [][]string{{"add", reg.Host()}, {"sync", "--rate", "0", "-q"}} {
			if _, errs, code := tool(t, append([]string{"catalog", "--db", db}, args...)...); code != 0 {
				t.Fatalf("%q: %s", args, errs)
			}
		}
	}
	reg.Close()
	nodes := map[string]string{}
	for name, flags := range map[string]string{"n1": flagsV2, "n2": flagsV3, "n3": flagsAVX512} {
		out, errs, code := tool(t, "facts", "--root", host(t, flags), "-o", "json")
		if code != 0 {
			t.Fatal(errs)
		}
		nodes[name] = filepath.Join(dir, name+".json")
		if err := os.WriteFile(nodes[name], []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lammps := reg.Host() + "/hpc/lammps:1"
	for name, args := range map[string][]string{
		"match":          {"match", lammps, "--nodes", dir, "-o", "json"},
		"match of all":   {"match", "--nodes", dir, "-o", "csv"},
		"match of some":  {"match", "--where", "requires cpu.cpuid.AVX512F", "--nodes", dir, "-o", "csv"},
		"match by facts": {"match", lammps, "--nodes", dir, "-o", "slurm-constraint", "--by", "facts"},
		"audit":          {"audit", "--facts", dir, "--all"},
		"facts diff":     {"facts", "diff", nodes["n1"], nodes["n3"]},
		"export":         {"export", "classes", "--nodes", dir, "--by", "facts"},
	} {
		want, wantErrs, wantCode := tool(t, append(args, "--catalog", file)...)
		got, errs, code := tool(t, append(args, "--catalog", p.URL)...)
		if got != want || code != wantCode || errs != wantErrs || want == "" {
			t.Errorf("%s: %d\n%s%s\nwant %d\n%s%s", name, code, got, errs, wantCode, want, wantErrs)
		}
	}
}
