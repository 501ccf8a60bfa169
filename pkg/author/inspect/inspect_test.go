package inspect_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/author/inspect"
	"github.com/imagefit/imagefit/pkg/author/isa"
)

// member is a file of an archive; one without a body is a link.
type member struct {
	name string
	body []byte
}

func tarOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		head := &tar.Header{Name: m.name, Mode: 0o755, Size: int64(len(m.body)), Typeflag: tar.TypeReg}
		if m.body == nil {
			head.Typeflag, head.Linkname = tar.TypeSymlink, "elsewhere"
		}
		if err := w.WriteHeader(head); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstdOf(t *testing.T, body []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	return w.EncodeAll(body, nil)
}

// layout is an OCI layout, by path.
type layout map[string][]byte

func (l layout) blob(body []byte) digest.Digest {
	d := digest.FromBytes(body)
	l["blobs/sha256/"+d.Encoded()] = body
	return d
}

func (l layout) json(t *testing.T, v any) (digest.Digest, []byte) {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return l.blob(body), body
}

// imageOf is an index with one image for amd64 and another for arm64.
func imageOf(t *testing.T, amd64Layers, arm64Layers [][]byte) layout {
	t.Helper()
	l := layout{"oci-layout": []byte(`{"imageLayoutVersion": "1.0.0"}`)}
	var index ocispec.Index
	for arch, layers := range map[string][][]byte{"amd64": amd64Layers, "arm64": arm64Layers} {
		manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
		for _, layer := range layers {
			manifest.Layers = append(manifest.Layers, ocispec.Descriptor{Digest: l.blob(layer)})
		}
		d, _ := l.json(t, manifest)
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: d, Platform: &ocispec.Platform{OS: "linux", Architecture: arch},
			ArtifactType: ocispec.MediaTypeImageConfig, // as crane writes it
		})
	}
	inner, _ := l.json(t, index)
	_, outer := l.json(t, ocispec.Index{Manifests: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageIndex, Digest: inner}}})
	l["index.json"] = outer
	return l
}

func (l layout) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range l {
		writeFile(t, filepath.Join(dir, name), body)
	}
	return dir
}

func (l layout) members() []member {
	var all []member
	for name, body := range l {
		all = append(all, member{name, body})
	}
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return all
}

func writeFile(t *testing.T, name string, body []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func inspected(t *testing.T, name, platform string) *inspect.Contents {
	t.Helper()
	found, err := inspect.Path(t.Context(), name, platform)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("%d variants", len(found))
	}
	return found[0]
}

func paths(i *inspect.Contents) string {
	var all []string
	for _, p := range i.Programs {
		all = append(all, p.Path)
	}
	return strings.Join(all, " ")
}

// TestInspectFindsProgramsInEveryContainer: the same files are found in whatever they come.
func TestInspectFindsProgramsInEveryContainer(t *testing.T) {
	t.Parallel()
	app, lib := elfFile(program{level: 3}), elfFile(program{soname: "libx.so.1"})
	members := []member{{"usr/bin/app", app}, {"usr/lib/libx.so.1", lib}, {"etc/motd", []byte("hello")}, {"usr/lib/libmpi.so.40", nil}}
	archive := tarOf(t, members...)
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	for _, m := range members[:3] {
		writeFile(t, filepath.Join(tree, m.name), m.body)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(tree, "usr/lib/libmpi.so.40")); err != nil {
		t.Fatal(err)
	}
	image := imageOf(t, [][]byte{gzipOf(t, archive)}, [][]byte{tarOf(t, member{"arm", lib})})
	for name, path := range map[string]string{
		"directory": tree,
		"tar":       writeFile(t, filepath.Join(dir, "a.tar"), archive),
		"gzip":      writeFile(t, filepath.Join(dir, "a.tar.gz"), gzipOf(t, archive)),
		"zstd":      writeFile(t, filepath.Join(dir, "a.tar.zst"), zstdOf(t, archive)),
		"layout":    image.write(t),
		"oci tar":   writeFile(t, filepath.Join(dir, "image.tar"), tarOf(t, image.members()...)),
		"docker":    writeFile(t, filepath.Join(dir, "docker.tar"), tarOf(t, dockerArchive("amd64", []string{"a/layer.tar"}, member{"a/layer.tar", archive})...)),
		"crane":     writeFile(t, filepath.Join(dir, "crane.tar"), tarOf(t, dockerArchive("amd64", []string{"0f.tar.gz"}, member{"0f.tar.gz", gzipOf(t, archive)})...)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := inspected(t, path, "linux/amd64")
			if got := paths(found); got != "usr/bin/app usr/lib/libx.so.1" {
				t.Errorf("found %s", got)
			}
			if !found.Names["libmpi.so.40"] || found.Kind.IsPart() {
				t.Errorf("names %v, kind %v", found.Names, found.Kind)
			}
		})
	}
	t.Run("program", func(t *testing.T) {
		t.Parallel()
		found := inspected(t, filepath.Join(tree, "usr/bin/app"), "")
		if !found.Kind.IsPart() || paths(found) != "app" {
			t.Errorf("%+v", found)
		}
	})
}

func TestInspectSeesLayersAsARuntimeDoes(t *testing.T) {
	t.Parallel()
	file := elfFile
	lower := tarOf(t, member{"bin/kept", file(program{})}, member{"bin/replaced", file(program{level: 4})},
		member{"bin/removed", file(program{})}, member{"opt/old/x", file(program{})}, member{"srv/a/x", file(program{})})
	upper := tarOf(t, member{"bin/replaced", file(program{level: 2})}, member{"bin/.wh.removed", []byte{}},
		member{"opt/old/.wh..wh..opq", []byte{}}, member{"opt/old/new", file(program{})}, member{"srv/.wh.a", []byte{}})
	dir := imageOf(t, [][]byte{lower, upper}, nil).write(t)
	found := inspected(t, dir, "linux/amd64")
	if got := paths(found); got != "bin/kept bin/replaced opt/old/new" {
		t.Errorf("found %s", got)
	}
	for _, p := range found.Programs {
		if p.Path == "bin/replaced" && p.Level != 2 {
			t.Errorf("the lower file counts: %+v", p)
		}
	}
}

func TestInspectRefusesWhatIsDamaged(t *testing.T) {
	t.Parallel()
	image := imageOf(t, [][]byte{tarOf(t)}, nil)
	damaged := imageOf(t, [][]byte{tarOf(t, member{"a", []byte("x")})}, nil)
	for name, body := range damaged {
		if strings.HasPrefix(name, "blobs/") && !bytes.HasPrefix(body, []byte("{")) {
			damaged[name] = tarOf(t, member{"b", []byte("y")})
		}
	}
	dir := t.TempDir()
	for name, tt := range map[string]struct{ path, platform, want string }{
		"no such file":   {filepath.Join(dir, "none"), "", "no such file"},
		"other platform": {image.write(t), "linux/s390x", "no variant for linux/s390x, only"},
		"damaged layer":  {damaged.write(t), "linux/amd64", "the digest does not match, it is"},
		"a text":         {writeFile(t, filepath.Join(dir, "a.txt"), []byte("hello")), "", "this is a text file, not a program for Linux, a directory, an image or an archive"},
		"a script":       {writeFile(t, filepath.Join(dir, "a.sh"), []byte("#!/bin/sh\n")), "", "this is a script, not a program"},
		"a manifest":     {writeFile(t, filepath.Join(dir, "a.json"), []byte(`{"schemaVersion": 2}`)), "", "this is JSON text"},
		"an object":      {writeFile(t, filepath.Join(dir, "a.o"), []byte("\x7fELF")), "", "this is an object file"},
		"a wheel":        {writeFile(t, filepath.Join(dir, "a.whl"), []byte("PK\x03\x04\x00")), "", "this is a zip archive, such as a wheel or a jar"},
		"a package":      {writeFile(t, filepath.Join(dir, "a.deb"), []byte("!<arch>\ndebian-binary   ")), "", "this is a package of Debian"},
		"for Windows":    {writeFile(t, filepath.Join(dir, "a.exe"), []byte("MZ\x90\x00")), "", "this is a program for Windows"},
		"empty":          {writeFile(t, filepath.Join(dir, "empty"), nil), "", "this is an empty file"},
		"gzip of docker": {writeFile(t, filepath.Join(dir, "d.tar.gz"), gzipOf(t, tarOf(t, dockerArchive("amd64", []string{"layer.tar"}, member{"layer.tar", tarOf(t)})...))), "", "is a compressed archive of an image: decompress it first"},
		"no layer":       {writeFile(t, filepath.Join(dir, "nolayer.tar"), tarOf(t, dockerArchive("amd64", []string{"gone.tar"})...)), "", "the archive has no gone.tar"},
		"cut archive":    {writeFile(t, filepath.Join(dir, "cut.tar.gz"), gzipOf(t, tarOf(t, member{"a", elfFile(program{})}))[:60]), "", "unexpected EOF"},
		"empty layout":   {layout{"oci-layout": []byte("{}"), "index.json": []byte(`{"manifests": []}`)}.write(t), "linux/amd64", "no variant"},
		"climbing out":   {layout{"oci-layout": []byte("{}"), "index.json": []byte(`{"manifests": [{"digest": "../../etc:passwd"}]}`)}.write(t), "", "is not a digest"},
	} {
		_, err := inspect.Path(t.Context(), tt.path, tt.platform)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// dockerArchive is what docker save writes of one image.
func dockerArchive(arch string, layers []string, more ...member) []member {
	quoted := `"` + strings.Join(layers, `","`) + `"`
	return append([]member{
		{"c.json", []byte(`{"os": "linux", "architecture": "` + arch + `"}`)},
		{"manifest.json", []byte(`[{"Config": "c.json", "RepoTags": ["app:1"], "Layers": [` + quoted + `]}]`)},
	}, more...)
}

// TestInspectFollowsTheLinksOfADockerArchive: older ones have a layer once.
func TestInspectFollowsTheLinksOfADockerArchive(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range dockerArchive("arm64", []string{"one/layer.tar"}, member{"two/layer.tar", tarOf(t, member{"bin/app", elfFile(program{})})}) {
		if err := w.WriteHeader(&tar.Header{Name: m.name, Size: int64(len(m.body)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.body); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"one/layer.tar": "../two/layer.tar", "loop": "loop"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	found := inspected(t, writeFile(t, t.TempDir()+"/a.tar", b.Bytes()), "")
	if paths(found) != "bin/app" || found.Platform != "linux/arm64" {
		t.Errorf("%s, %+v", paths(found), found)
	}
	_, notes := found.Needs(none)
	if all := strings.Join(notes, "\n"); !strings.Contains(all, "the image states linux/arm64, but bin/app is a program for amd64") {
		t.Errorf("%q", notes)
	}
}

// TestInspectLooksAtAllVariants: each has its platform, and what that states is not
// required.
func TestInspectLooksAtAllVariants(t *testing.T) {
	t.Parallel()
	image := imageOf(t, [][]byte{tarOf(t, member{"bin/app", elfFile(program{level: 3})})}, [][]byte{tarOf(t, member{"bin/other", elfFile(program{})})})
	found, err := inspect.Path(t.Context(), image.write(t), "")
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %d variants", err, len(found))
	}
	got := map[string]string{}
	for _, f := range found {
		got[f.Platform] = paths(f)
	}
	if got["linux/amd64"] != "bin/app" || got["linux/arm64"] != "bin/other" {
		t.Errorf("%v", got)
	}
	for platform, want := range map[string]string{"": "io.archspec/target=x86_64_v3", "linux/amd64/v2": "io.archspec/target=x86_64_v3", "linux/amd64/v3": "", "linux/amd64/v4": ""} {
		one := inspect.Contents{Platform: platform, Programs: []inspect.Program{{Arch: "amd64", Path: "a", Level: 3, Uses: []isa.Use{{Extension: "AVX2"}}}}}
		needs, _ := one.Needs(none)
		if got := attributesOf(needs); got != want {
			t.Errorf("on %q: %s, want %s", platform, got, want)
		}
	}
}
