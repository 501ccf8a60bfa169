package catalog_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/catalog"
)

// layoutOf copies an image with its artifacts into an OCI layout, by oras.
func layoutOf(t *testing.T, reg *fakeregistry.Registry, repository, tag, dir string) {
	t.Helper()
	from, err := remote.NewRepository(reg.Host() + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	from.PlainHTTP = true
	to, err := oci.New(dir)
	if err == nil {
		_, err = oras.ExtendedCopy(t.Context(), from, tag, to, tag, oras.DefaultExtendedCopyOptions)
	}
	if err != nil {
		t.Fatal(err)
	}
	body, _ := reg.In(repository).Content(tag)
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		t.Fatal(err)
	}
	for _, d := range index.Manifests {
		if err := oras.ExtendedCopyGraph(t.Context(), from, to, d, oras.DefaultExtendedCopyGraphOptions); err != nil {
			t.Fatal(err)
		}
	}
}

// archiveOf writes the files of a folder as a tar archive.
func archiveOf(t *testing.T, dir, path string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sifObject is a data object of a SIF file.
type sifObject struct {
	kind  int32
	data  []byte
	extra string
}

// sifFile writes a SIF file, by the places that its specification gives.
func sifFile(t *testing.T, path, arch string, objects ...sifObject) {
	t.Helper()
	const header, descriptor = 128, 585
	b := make([]byte, header+len(objects)*descriptor)
	copy(b, "#!/usr/bin/env run-singularity\n")
	copy(b[32:], "SIF_MAGIC\x00")
	copy(b[42:], "01\x00")
	copy(b[45:], arch+"\x00")
	put := func(at int, value int64) { binary.LittleEndian.PutUint64(b[at:], uint64(value)) }
	put(64, 1_700_000_000) // created
	put(88, int64(len(objects)))
	put(96, header)
	put(104, int64(len(objects)*descriptor))
	put(112, int64(len(b)))
	for i, o := range objects {
		at := header + i*descriptor
		binary.LittleEndian.PutUint32(b[at:], uint32(o.kind))
		b[at+4] = 1 // used
		put(at+17, int64(len(b)))
		put(at+25, int64(len(o.data)))
		copy(b[at+201:], o.extra)
		b = append(b, o.data...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func syncDir(t *testing.T, dir string) (*catalog.Catalog, catalog.Summary) {
	t.Helper()
	c := openAt(t, filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{})
	source, err := catalog.PathSource(catalog.FromDir, dir)
	if err == nil {
		_, err = c.Add(t.Context(), source)
	}
	if err != nil {
		t.Fatal(err)
	}
	sources, err := c.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := catalogtest.Syncer(t, c).Sync(t.Context(), sources)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func TestFoldersOfImagesAreSources(t *testing.T) {
	t.Parallel()
	reg := fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	dir := t.TempDir()
	layout := filepath.Join(dir, "deep", "lammps")
	layoutOf(t, reg, "hpc/lammps", "1", layout)
	archiveOf(t, layout, filepath.Join(dir, "lammps.tar"))
	config := `{"architecture": "arm64", "os": "linux", "created": "2026-01-02T03:04:05Z", "config": {}}`
	saved := t.TempDir()
	for name, text := range map[string]string{
		"manifest.json": `[{"Config": "config.json", "RepoTags": ["app:old"], "Layers": ["layer.tar"]}]`, "config.json": config, "layer.tar": "never read",
	} {
		if err := os.WriteFile(filepath.Join(saved, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	archiveOf(t, saved, filepath.Join(dir, "saved.tar"))
	sifFile(t, filepath.Join(dir, "plain.sif"), "02", sifObject{kind: 0x4006, data: []byte(catalogtest.F(catalogtest.NeedsOpenMPI))}, sifObject{kind: 0x4004, data: []byte("squashfs")})
	ofOCI := []sifObject{}
	index, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	ofOCI = append(ofOCI, sifObject{kind: 0x400a, data: index})
	err = fs.WalkDir(os.DirFS(layout), "blobs/sha256", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(layout, path))
		ofOCI = append(ofOCI, sifObject{kind: 0x400b, data: text, extra: digest.FromBytes(text).String()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sifFile(t, filepath.Join(dir, "oci.sif"), "02", ofOCI...)
	for name, text := range map[string]string{"notes.tar": "not an archive", "text.txt": "text", "short.sif": "SIF"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, s := syncDir(t, dir)
	if s.Names != 5 || len(s.Failed) > 0 || s.Problems > 0 {
		t.Errorf("sync: %+v", s)
	}
	for query, want := range map[string]string{
		"requires cpu.cpuid.AVX512F":                               "deep/lammps:1 amd64, lammps.tar:1 amd64, oci.sif:1 amd64",
		"requires mpi.host":                                        "plain.sif:plain.sif amd64",
		"platform = linux/arm64":                                   "deep/lammps:1 arm64, lammps.tar:1 arm64, oci.sif:1 arm64, saved.tar:app:old arm64",
		"created < 2026-02-01 and source = dir and name ~ *saved*": "saved.tar:app:old arm64",
	} {
		if got := catalogtest.Answer(t, c, dir, query); got != want {
			t.Errorf("%s:\n got %s\nwant %s", query, got, want)
		}
	}
}

func TestDamagedImagesInAFolderAreNamed(t *testing.T) {
	t.Parallel()
	reg := fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	dir := t.TempDir()
	layoutOf(t, reg, "ai/torch", "12", filepath.Join(dir, "good"))
	layoutOf(t, reg, "hpc/mpi", "1", filepath.Join(dir, "bad"))
	layoutOf(t, reg, "hpc/mpi", "1", filepath.Join(dir, "worse"))
	body, _ := reg.In("hpc/mpi").Content("1")
	top := filepath.Join(dir, "bad", "blobs", "sha256", digest.FromBytes(body).Encoded())
	if err := os.WriteFile(top, bytes.ReplaceAll(body, []byte("linux"), []byte("linus")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "worse", ocispec.ImageIndexFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	sifFile(t, filepath.Join(dir, "cut.sif"), "02", sifObject{kind: 0x4006, data: []byte("{}")})
	text, err := os.ReadFile(filepath.Join(dir, "cut.sif"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "cut.sif"), text[:300], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, s := syncDir(t, dir)
	if len(s.Failed) != 1 || !strings.Contains(s.Failed[0].Error, "cut.sif: its table of data objects is truncated") || s.Problems != 1 {
		t.Errorf("sync: %+v", s)
	}
	if got := catalogtest.Answer(t, c, dir, "requires gpu.nvidia"); got != "good:12 amd64" {
		t.Error(got)
	}
	shown, err := c.Show(t.Context(), filepath.Join(dir, "bad")+":1")
	if err != nil || !strings.Contains(shown.Error, "has another digest") {
		t.Errorf("%v %+v", err, shown)
	}
}
