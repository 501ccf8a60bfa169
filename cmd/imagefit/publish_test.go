package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// program is a file in ELF format whose GNU property asks for an x86-64 level.
func program(t *testing.T, level int) []byte {
	t.Helper()
	words := func(values ...uint32) (b []byte) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		return b
	}
	note := slices.Concat(words(4, 16, 5), []byte("GNU\x00"), words(0xc0008002, 4, 1<<level-1, 0))
	const head, segment = 64, 56
	var b bytes.Buffer
	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}
	for _, part := range []any{
		elf.Header64{
			Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
			Phoff: head, Ehsize: head, Phentsize: segment, Phnum: 1,
		},
		elf.Prog64{Type: uint32(elf.PT_NOTE), Off: head + segment, Vaddr: head + segment, Filesz: uint64(len(note)), Align: 8},
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return append(b.Bytes(), note...)
}

// built stores an image with one file, and what the change makes of its manifest.
func built(t *testing.T, s *fakeregistry.Registry, platform string, file []byte, change func(*ocispec.Manifest)) ocispec.Descriptor {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "bin/app", Mode: 0o755, Size: int64(len(file)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	entry := s.Image(platform, string(file))
	m := s.Get(entry.Digest)
	m.Layers = []ocispec.Descriptor{s.Blob(ocispec.MediaTypeImageLayer, layer.String())}
	if change != nil {
		change(m)
	}
	desc := s.Manifest(ocispec.MediaTypeImageManifest, m)
	desc.Platform = entry.Platform
	return desc
}

// attachedTo is the body of the one artifact of a subject, without its white space, or "".
func attachedTo(t *testing.T, s *fakeregistry.Registry, subject digest.Digest) string {
	t.Helper()
	var listing struct {
		Artifacts []struct{ Layer digest.Digest }
	}
	out := toolOK(t, "list", s.Reference("@"+subject.String()), "-o", "json")
	if err := json.Unmarshal([]byte(out), &listing); err != nil {
		t.Fatal(err)
	}
	if len(listing.Artifacts) != 1 {
		return ""
	}
	body, _ := s.Content(listing.Artifacts[0].Layer.String())
	return strings.Join(strings.Fields(string(body)), "")
}

const targetV3 = `{"compatibilities":{"io.archspec":{"target":"x86_64_v3"}}}`

func TestPublishAttachesToEveryVariantWhatIsInIt(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	v3 := built(t, s, "linux/amd64", program(t, 3), nil)
	data := built(t, s, "linux/arm64", []byte("data"), nil)
	s.Index("1", v3, data, s.Image("windows/amd64", "w"))
	got := tool(t, "", "publish", s.Reference(":1"), "--dry-run")
	if got.err != nil || !strings.Contains(got.stdout, "would be attached as proposal-f") {
		t.Fatalf("dry run: %v\n%s\n%s", got.err, got.stdout, got.stderr)
	}
	for _, want := range []string{"plan:", "linux/amd64  sha256:", "needs target=x86_64_v3: bin/app", "nothing was found to ask for", "it is for windows"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("the plan lacks %q:\n%s", want, got.stderr)
		}
	}
	if writes := fakeregistry.Writes(s.Requests()); len(writes) > 0 {
		t.Errorf("dry run asked for %q", writes)
	}
	got = tool(t, "", "publish", s.Reference(":1"), "-q")
	if got.err != nil || !strings.Contains(got.stdout, "attached: 1, nothing to ask for: 2, failed: 0") {
		t.Fatalf("%v\n%s\n%s", got.err, got.stdout, got.stderr)
	}
	if body := attachedTo(t, s, v3.Digest); body != targetV3 {
		t.Errorf("attached %s", body)
	}
	if body := attachedTo(t, s, data.Digest); body != "" {
		t.Errorf("attached to what needs nothing: %s", body)
	}
}

// The variants of an index within the index are published as those beside it.
func TestPublishLooksIntoIndexesWithinTheIndex(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	v3, v2 := built(t, s, "linux/amd64/v3", program(t, 3), nil), built(t, s, "linux/amd64/v2", program(t, 2), nil)
	inner := s.Index("inner", v3)
	inner.Platform = nil
	s.Index("1", inner, v2)
	got := tool(t, "", "publish", s.Reference(":1"), "-q")
	if got.err != nil || !strings.Contains(got.stdout, "linux/amd64/v3") || !strings.Contains(got.stdout, "failed: 0") {
		t.Fatalf("%v\n%s\n%s", got.err, got.stdout, got.stderr)
	}
	file := write(t, "body.json", targetV3)
	got = tool(t, "", "publish", s.Reference(":1"), "-q", "--body", file+"=linux/amd64/v3", "--replace")
	if got.err != nil {
		t.Fatalf("%v\n%s\n%s", got.err, got.stdout, got.stderr)
	}
	if body := attachedTo(t, s, v3.Digest); body != targetV3 {
		t.Errorf("attached %s", body)
	}
	got = tool(t, "", "publish", s.Reference(":1"), "-q", "--body", file+"=linux/amd64/v4")
	if got.err == nil || !strings.Contains(got.err.Error(), "has no entry for linux/amd64/v4") {
		t.Errorf("another platform: %v", got.err)
	}
}

// What the base image needs is added, but for what the new image states itself.
func TestPublishAddsWhatTheBaseImageNeeds(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{})
	base := built(t, s, "linux/amd64", []byte("base"), nil)
	index := s.Index("base", base)
	s.Attach(base, fakeregistry.Artifact{Body: `{"compatibilities": {"io.archspec": {"target": "x86_64_v2"}, "oci": {"oci.kernel.versions": ">=5.8"}}}`})
	s.Attach(index, fakeregistry.Artifact{Body: `{"compatibilities": {"nfd": {"cpu-cpuid.AVX512F": true}}}`}) // the variant has its own
	const merged = `{"compatibilities":{"io.archspec":{"target":"x86_64_v3"},"oci":{"oci.kernel.versions":">=5.8"}}}`
	names := func(name, digest string) func(*ocispec.Manifest) {
		return func(m *ocispec.Manifest) {
			m.Annotations = map[string]string{ocispec.AnnotationBaseImageName: name, ocispec.AnnotationBaseImageDigest: digest}
		}
	}
	for name, tt := range map[string]struct {
		change func(*ocispec.Manifest)
		args   []string
		want   string
		says   string
	}{
		"by name":   {names(s.Reference(":base"), ""), nil, merged, "oci.kernel.versions=>=5.8: the base image " + s.Reference(":base")},
		"by digest": {names(s.Reference(":gone"), base.Digest.String()), nil, merged, "the base image " + s.Reference("@"+base.Digest.String())},
		"by flag":   {nil, []string{"--base", s.Reference(":base")}, merged, "the base image"},
		"not":       {names(s.Reference(":base"), ""), []string{"--no-base"}, targetV3, "target=x86_64_v3"},
		"gone":      {names(s.Reference(":gone"), ""), nil, targetV3, "is not there any more"},
		"none":      {nil, nil, targetV3, "target=x86_64_v3"},
	} {
		t.Run(name, func(t *testing.T) {
			image := built(t, s, "linux/amd64", append(program(t, 3), name...), tt.change)
			s.Index("1", image)
			got := tool(t, "", append([]string{"publish", s.Reference(":1")}, tt.args...)...)
			if got.err != nil || !strings.Contains(got.stderr, tt.says) {
				t.Fatalf("%v\n%s", got.err, got.stderr)
			}
			if body := attachedTo(t, s, image.Digest); body != tt.want {
				t.Errorf("attached %s, want %s", body, tt.want)
			}
		})
	}
	if got := tool(t, "", "publish", s.Reference(":1"), "--base", s.Reference(":gone")); got.err == nil || !strings.Contains(got.err.Error(), ":gone") {
		t.Errorf("--base of what is not there: %v", got.err)
	}
}

func TestPublishPutsFilesOnManyImages(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	plain, v3, other := s.Image("linux/amd64", "a"), s.Image("linux/amd64/v3", "b"), s.Image("linux/amd64", "c")
	s.Index("one", plain, v3)
	two := s.Index("two", other)
	common, special := write(t, "common.json", needsAVX2), write(t, "v3.json", strings.Join(strings.Fields(targetV3), ""))
	got := tool(t, "", "publish", s.Reference(":one"), "--body", common+"=linux/amd64", "--body", special+"=linux/amd64/v3", "-q")
	if got.err != nil || attachedTo(t, s, v3.Digest) != targetV3 || attachedTo(t, s, plain.Digest) == "" {
		t.Errorf("by platform: %v\n%s", got.err, got.stdout)
	}
	got = tool(t, "", "attach", s.Reference(":two"), s.Reference(":one"), common)
	if got.err != nil || !strings.Contains(got.stdout, "attached: 2, nothing to ask for: 0, failed: 0") || !strings.Contains(got.stderr, "needs cpu.cpuid AVX2: "+common) {
		t.Errorf("several images: %v\n%s\n%s", got.err, got.stdout, got.stderr)
	}
	if attachedTo(t, s, two.Digest) == "" {
		t.Error("nothing is attached to the second image")
	}
	s.Requests()
	bad := write(t, "bad.json", `{"compatibilities": {"nfd": {"cpu-cpuid.AVX22": true}}}`)
	wantError(t, tool(t, "", "publish", s.Reference(":one"), "--body", bad).err, "bad.json: not pushed, lint finds 1 error in it")
	wantError(t, tool(t, "", "publish", s.Reference(":one"), s.Reference(":none"), "--body", common).err, ":none", "404")
	wantError(t, tool(t, "", "publish", s.Reference(":one"), "--body", common+"=linux/arm64").err, "no entry for linux/arm64")
	wantError(t, tool(t, "", "publish", s.Reference(":one"), "--platform", "linux/arm64").err, "has no variant for linux/arm64")
	wantError(t, tool(t, "", "attach", "a.b/c", "a.b/d", common, "--entry", "1").err, "--entry")
	if writes := fakeregistry.Writes(s.Requests()); len(writes) > 0 {
		t.Errorf("a plan with an error asked for %q", writes)
	}
}

// What cannot be attached is reported, and does not keep the rest from being attached.
func TestPublishReportsWhatFailed(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	image := s.Image("linux/amd64", "a")
	s.Index("1", image)
	file := write(t, "n.json", needsAVX2)
	pushes := 0
	s.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		if pushes++; pushes == 1 {
			w.WriteHeader(http.StatusForbidden)
		}
		return pushes == 1
	})
	got := tool(t, "", "publish", s.Reference(":1"), "--body", file+"=linux/amd64", "--body", file, "-o", "json")
	var plan []planned
	if err := json.Unmarshal([]byte(got.stdout), &plan); err != nil || got.err != cli.ExitError(1) || len(plan) != 2 {
		t.Fatalf("%v, %v\n%s", err, got.err, got.stdout)
	}
	if plan[0].Error == "" || plan[0].Digest != "" || plan[1].Error != "" || plan[1].Digest == "" {
		t.Errorf("plan: %+v", plan)
	}
}
