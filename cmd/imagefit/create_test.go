package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// programOf is a program for amd64 of this code, without sections.
func programOf(t *testing.T, code string) string {
	t.Helper()
	var b bytes.Buffer
	head := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}, Type: uint16(elf.ET_EXEC),
		Machine: uint16(elf.EM_X86_64), Entry: 0x1000, Phoff: 64, Phentsize: 56, Phnum: 1,
	}
	load := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_X), Off: 120, Vaddr: 0x1000, Filesz: uint64(len(code)), Memsz: uint64(len(code))}
	for _, part := range []any{head, load, []byte(code)} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

const (
	plainCode = "\xc3"
	avx2Code  = "\xc5\xf5\xfe\xc2\xc3" // vpaddd %ymm2,%ymm1,%ymm0; ret
)

// imageWith stores an image with one program in a registry.
func imageWith(t *testing.T, s *fakeregistry.Registry, platform, code string) ocispec.Descriptor {
	t.Helper()
	var b bytes.Buffer
	w, body := tar.NewWriter(&b), programOf(t, code)
	if err := w.WriteHeader(&tar.Header{Name: "bin/app", Mode: 0o755, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	entry := s.Image(platform, platform)
	manifest := s.Get(entry.Digest)
	manifest.Layers = []ocispec.Descriptor{s.Blob(ocispec.MediaTypeImageLayer, b.String())}
	stored := s.Manifest(ocispec.MediaTypeImageManifest, manifest)
	stored.Platform = entry.Platform
	return stored
}

func TestCreateReadsAllVariantsOfAnImageInARegistry(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	s.Index("apps", imageWith(t, s, "linux/amd64", avx2Code), imageWith(t, s, "linux/amd64/v3", avx2Code), imageWith(t, s, "linux/amd64/v2", plainCode))
	ref := s.Reference(":apps")
	got := tool(t, "", "create", "--from", ref)
	wantError(t, got.err, "the 3 variants require different things", "--platform", "-w FILE")
	dir := t.TempDir()
	got = tool(t, "", "create", "--from", ref, "-w", filepath.Join(dir, "needs.json"))
	if got.err != nil || !strings.Contains(got.stderr, "--- linux/amd64/v3\nnothing has to be required") {
		t.Fatalf("%+v", got)
	}
	if text := readText(t, filepath.Join(dir, "needs-linux-amd64.json")); !strings.Contains(text, `"cpu-cpuid.AVX2": true`) {
		t.Errorf("%s", text)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 1 {
		t.Errorf("written: %q", files)
	}
	got = tool(t, "", "create", "--from", "docker://"+ref, "--platform", "linux/amd64/v2")
	if got.err != cli.ExitError(exitNothing) {
		t.Errorf("%+v", got)
	}
	wantError(t, tool(t, "", "create", "--from", ref, "--platform", "linux/s390x").err, "no variant for linux/s390x, only linux/amd64, ")
	wantError(t, tool(t, "", "create", "--from", s.Reference(":gone")).err, "there is no file", "and no image", "not found")
}

func TestCreateWritesOneBodyWhereAllVariantsRequireTheSame(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	s.Index("same", imageWith(t, s, "linux/amd64", avx2Code), imageWith(t, s, "linux/amd64/v2", avx2Code))
	got := tool(t, "", "create", "--from", s.Reference(":same"))
	if got.err != nil || strings.Count(got.stdout, "cpu-cpuid.AVX2") != 1 {
		t.Errorf("%+v", got)
	}
	if linted := tool(t, got.stdout, "lint", "--strict", "-"); linted.err != nil {
		t.Errorf("%v %s", linted.err, linted.stdout)
	}
}

func TestCreateSaysWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"./build/app", "../app:1", "build/app", "app.tar", "/nowhere/app"} {
		wantError(t, tool(t, "", "create", "--from", from).err, from, "no such file")
	}
}
