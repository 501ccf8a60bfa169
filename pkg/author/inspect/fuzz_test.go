package inspect

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packed is an archive of files, of names and contents in turn.
func packed(namesAndContents ...string) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i+1 < len(namesAndContents); i += 2 {
		name, content := namesAndContents[i], namesAndContents[i+1]
		if w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}) == nil {
			_, _ = w.Write([]byte(content))
		}
	}
	_ = w.Close()
	return out.Bytes()
}

func zipped(content []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(content)
	_ = w.Close()
	return out.Bytes()
}

// FuzzArchive looks at any bytes as an archive of an image or of files.
func FuzzArchive(f *testing.F) {
	docker := `[{"Config": "c.json", "Layers": ["l.tar", "l.tar", "none"]}]`
	for _, seed := range [][]byte{
		nil, []byte("x"), packed(), packed("bin/a", "\x7fELF"), zipped(packed("bin/a", "\x7fELF")), zipped(nil), []byte("\x28\xb5\x2f\xfd"),
		packed("manifest.json", docker, "c.json", `{"os": "linux", "architecture": "amd64"}`, "l.tar", string(packed("a", "b"))),
		packed("manifest.json", `[null, {"Layers": null}]`, "c.json", `null`),
		packed("oci-layout", `{}`, "index.json", `{"manifests": [{"digest": "sha256:x"}, {"digest": "../../etc/passwd"}]}`),
		packed("oci-layout", `{}`, "index.json", `{"manifests": null}`),
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "archive.tar")
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		found, err := archive(t.Context(), file, "linux/amd64")
		if err == nil && len(found) == 0 {
			t.Fatal("neither contents nor an error")
		}
	})
}

// FuzzLayers looks at two layers of any files: what the upper one removes or replaces is not seen, and no
// name leaves the image.
func FuzzLayers(f *testing.F) {
	f.Add("bin/a", "a", "bin/.wh.a", "")
	f.Add("bin/a", "a", "bin/.wh..wh..opq", "")
	f.Add("../../etc/x", "\x7fELF", "/./a//b", "x")
	f.Add(".wh.", "", ".wh..wh.", "")
	f.Fuzz(func(t *testing.T, lower, lowerContent, upper, upperContent string) {
		i, above := newContents(), newShadow()
		for _, layer := range [][]byte{packed(upper, upperContent), packed(lower, lowerContent)} {
			if err := i.layer(context.Background(), bytes.NewReader(layer), above); err != nil {
				return
			}
		}
		for name := range i.Names {
			if strings.HasPrefix(name, "/") || name == ".." || strings.HasPrefix(name, "../") {
				t.Fatalf("the name %q", name)
			}
		}
	})
}
