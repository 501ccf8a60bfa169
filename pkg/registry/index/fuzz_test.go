package index_test

import (
	"encoding/json"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry/index"
)

// FuzzIndex reads any bytes as an index. What is read is what package json reads, but for
// the bounds.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"manifests": null}`, `{"manifests": [null, {}]}`, `{"manifests": {}}`, `{"manifests": [1]}`,
		`{"manifests": [{"platform": {"os": "linux", "features": ["a"]}, "annotations": {"a": "b"}}]}`,
		`{"manifests": [{}` + strings.Repeat(",{}", index.MaxEntries) + `]}`, `{"manifests": [{}], "manifests": [{}, {}]}`,
		`{"manifests": [` + strings.Repeat("[", 2000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, err := index.Parse(body)
		if err != nil {
			if entries != nil || len(err.Error()) > 1000 {
				t.Fatalf("%d entries, an error of %d bytes", len(entries), len(err.Error()))
			}
			return
		}
		if len(entries) > index.MaxEntries {
			t.Fatalf("%d entries", len(entries))
		}
		for _, e := range entries {
			if _, why := e.Kind(); len(why) > 2000 || len(index.PlatformName(e.Platform)) > 1000 {
				t.Fatalf("%d bytes about an entry", len(why))
			}
		}
		var whole ocispec.Index
		if err := json.Unmarshal(body, &whole); err == nil && strings.Count(strings.ToLower(string(body)), "manifests") == 1 && len(whole.Manifests) != len(entries) {
			t.Fatalf("%d entries, want %d", len(entries), len(whole.Manifests))
		}
	})
}

// FuzzManifest reads any bytes as the manifest of an image or an artifact, and as its
// config.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"layers": null}`, `{"layers": [{}, null]}`, `{"layers": {}}`, `{"subject": null}`,
		`{"artifactType": "a", "config": {"mediaType": "b", "size": -1}, "layers": [{"digest": "sha256:x"}], "subject": {"digest": "x"}, "annotations": {"a": "b"}}`,
		`{"architecture": "amd64", "os": "linux", "os.features": [""], "config": {"Env": ["A=B"]}}`, `{"layers": [` + strings.Repeat("{},", 3000) + `{}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := index.ParseManifest(body)
		if err != nil && len(err.Error()) > 1000 {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
		if len(m.Layers) > index.MaxEntries {
			t.Fatalf("%d layers", len(m.Layers))
		}
		if ok, why := m.IsImage(); ok != (why == "") {
			t.Fatalf("an image %t: %s", ok, why)
		}
		var p ocispec.Platform
		_ = index.ParseConfig(body, &p)
		if len(index.PlatformName(&p)) > 1000 {
			t.Fatal("a long platform")
		}
	})
}
