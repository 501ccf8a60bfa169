package decision

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// bomb is a registry that answers with what is small to make and large to read.
type bomb struct {
	name  string
	serve func(b *bombRegistry)
}

// bombs lists what strangers may send, one kind each.
func bombs() []bomb {
	return []bomb{
		{"nothing", func(b *bombRegistry) { b.index(b.entries(1)) }},
		{"index of 1.4 million entries", func(b *bombRegistry) { b.manifest("1", braces(maxBody)) }},
		{"index entry with 4 MiB of annotation", func(b *bombRegistry) {
			entries := b.entries(1)
			entries[0].Annotations = map[string]string{"x": strings.Repeat("y", maxBody-1000)}
			b.index(entries)
		}},
		{"index of 1000 entries with platforms of 4 KiB", func(b *bombRegistry) {
			entries := b.entries(1000)
			for i := range entries {
				entries[i].Platform.OSVersion = fmt.Sprintf("%d%s", i, strings.Repeat("y", 3500))
			}
			b.index(entries[:256])
		}},
		{"8 nested indexes of 4 MiB", func(b *bombRegistry) {
			var nested []ocispec.Descriptor
			for i := range 8 {
				body := append(braces(maxBody-100), strings.Repeat(" ", i)...)
				nested = append(nested, b.content(ocispec.MediaTypeImageIndex, body))
			}
			b.index(nested)
		}},
		{"256 entries, 320000 attributes", func(b *bombRegistry) {
			top := b.index(b.entries(256))
			b.attach(top.Digest, attributes(b, 2, 16, 10_000)...)
		}},
		{"256 entries, 16 bodies of 10000 attributes each", func(b *bombRegistry) {
			entries := b.entries(256)
			b.index(entries)
			for i := range entries {
				b.attach(entries[i].Digest, b.artifact(entries[i].Digest, b.attributeBodies(fmt.Sprint(i), 16, 10_000)...))
			}
		}},
		{"64 bodies of 1 MiB of text", func(b *bombRegistry) {
			entries := b.entries(4)
			b.index(entries)
			for i := range entries {
				b.attach(entries[i].Digest, b.artifact(entries[i].Digest, b.textBodies(fmt.Sprint(i), 16, 1<<20)...))
			}
		}},
		{"257 lists of 4 MiB of {}", func(b *bombRegistry) {
			b.index(b.entries(256))
			b.list = &bombContent{ocispec.MediaTypeImageIndex, braces(maxBody)}
		}},
		{"257 lists of 4 MiB of descriptors", func(b *bombRegistry) {
			b.index(b.entries(256))
			b.list = &bombContent{ocispec.MediaTypeImageIndex, manyReferrers(maxBody)}
		}},
		{"257 lists of one descriptor of 4 MiB", func(b *bombRegistry) {
			b.index(b.entries(256))
			b.list = &bombContent{ocispec.MediaTypeImageIndex, fmt.Appendf(nil,
				`{"manifests": [{"mediaType": %q, "annotations": {"x": "%s"}}]}`, ocispec.MediaTypeImageManifest, strings.Repeat("y", maxBody-1000))}
		}},
		{"32 artifact manifests of 4 MiB for each entry", func(b *bombRegistry) {
			entries := b.entries(256)
			b.index(entries)
			var artifacts []ocispec.Descriptor
			for i := range 32 {
				body := fmt.Sprintf(`{"artifactType": %q, "layers": [{}%s], "x": "%d"}`, dialect.ArtifactType, strings.Repeat(",{}", (maxBody-200)/3), i)
				d := b.content(ocispec.MediaTypeImageManifest, []byte(body))
				d.ArtifactType = dialect.ArtifactType
				artifacts = append(artifacts, d)
			}
			for i := range entries {
				b.attach(entries[i].Digest, artifacts...)
			}
		}},
		{"deep YAML", func(b *bombRegistry) {
			b.bodies(dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, strings.Repeat("[", 1<<20-100))
		}},
		{"wide YAML", func(b *bombRegistry) {
			b.bodies(dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, "["+strings.Repeat("a,", (1<<20-100)/2)+"a]")
		}},
		{"YAML of one character a row", func(b *bombRegistry) {
			b.bodies(dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, "- a\n"+strings.Repeat("-\n", (1<<20-100)/2))
		}},
		{"wide JSON", func(b *bombRegistry) {
			b.bodies(dialect.ArtifactType, dialect.LayerTypeOutline, "["+strings.Repeat("1,", (maxBody-100)/2)+"1]")
		}},
		{"configs of 4 MiB", func(b *bombRegistry) {
			var entries []ocispec.Descriptor
			for i := range 8 {
				config := b.content(ocispec.MediaTypeImageConfig, []byte(fmt.Sprintf(`{"x": "%d%s"}`, i, strings.Repeat(`\n`, maxBody/2-100))))
				body, _ := json.Marshal(ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config})
				entries = append(entries, b.content(ocispec.MediaTypeImageManifest, body))
			}
			b.index(entries)
		}},
		{"huge headers", func(b *bombRegistry) {
			b.index(b.entries(256))
			b.header = strings.Repeat("h", 200<<10)
		}},
		{"endless pages", func(b *bombRegistry) {
			b.index(b.entries(256))
			b.list, b.endless = &bombContent{ocispec.MediaTypeImageIndex, manyReferrers(maxBody)}, true
		}},
		{"slow bytes", func(b *bombRegistry) {
			b.index(b.entries(256))
			b.slow = true
		}},
	}
}

type bombContent struct {
	mediaType string
	body      []byte
}

// bombRegistry is kept small: what it costs must not hide what reading it costs.
type bombRegistry struct {
	*httptest.Server
	manifests map[string]bombContent          // by tag or digest; blobs as well
	referrers map[string][]ocispec.Descriptor // by digest
	list      *bombContent                    // in place of all lists of referrers
	header    string
	endless   bool
	slow      bool
}

func newBombRegistry(t testing.TB, what bomb) *bombRegistry {
	t.Helper()
	b := &bombRegistry{manifests: map[string]bombContent{}, referrers: map[string][]ocispec.Descriptor{}}
	what.serve(b)
	b.Server = httptest.NewServer(b)
	t.Cleanup(func() {
		b.CloseClientConnections()
		b.Close()
	})
	return b
}

// ServeHTTP answers for all repositories alike.
func (b *bombRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	found, ok := b.manifests[name]
	if strings.Contains(r.URL.Path, "/referrers/") {
		body, _ := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: append([]ocispec.Descriptor{}, b.referrers[name]...)})
		found, ok = bombContent{ocispec.MediaTypeImageIndex, body}, true
		if b.list != nil {
			found = *b.list
		}
		if b.header != "" {
			w.Header().Set("X-Header", b.header)
		}
		if b.endless {
			w.Header().Set("Link", fmt.Sprintf("<%s?n=%d>; rel=\"next\"", r.URL.Path, time.Now().UnixNano()))
		}
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", found.mediaType)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(found.body).String())
	if b.slow && strings.Contains(r.URL.Path, "/referrers/") {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(found.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(found.body)
	}
}

func (b *bombRegistry) content(mediaType string, body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	b.manifests[d.Digest.String()] = bombContent{mediaType, body}
	return d
}

func (b *bombRegistry) manifest(tag string, body []byte) ocispec.Descriptor {
	b.manifests[tag] = bombContent{ocispec.MediaTypeImageIndex, body}
	return b.content(ocispec.MediaTypeImageIndex, body)
}

func (b *bombRegistry) index(entries []ocispec.Descriptor) ocispec.Descriptor {
	body, _ := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
	return b.manifest("1", body)
}

// entries are images of which nothing but the digest is there.
func (b *bombRegistry) entries(n int) []ocispec.Descriptor {
	entries := make([]ocispec.Descriptor, n)
	for i := range entries {
		entries[i] = ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 100,
			Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: fmt.Sprintf("v%d", i%3+1)},
		}
	}
	return entries
}

func (b *bombRegistry) attach(subject digest.Digest, artifacts ...ocispec.Descriptor) {
	b.referrers[subject.String()] = append(b.referrers[subject.String()], artifacts...)
}

func (b *bombRegistry) artifact(subject digest.Digest, layers ...ocispec.Descriptor) ocispec.Descriptor {
	return b.typed(dialect.ArtifactType, subject, layers...)
}

func (b *bombRegistry) typed(artifactType string, subject digest.Digest, layers ...ocispec.Descriptor) ocispec.Descriptor {
	body, _ := json.Marshal(ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: ocispec.DescriptorEmptyJSON,
		Layers: layers, Subject: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: subject, Size: 1},
	})
	d := b.content(ocispec.MediaTypeImageManifest, body)
	d.ArtifactType = artifactType
	return d
}

// attributeBodies are bodies with so many attributes that no specification knows.
func (b *bombRegistry) attributeBodies(salt string, n, attributes int) []ocispec.Descriptor {
	layers := make([]ocispec.Descriptor, n)
	for i := range layers {
		var text strings.Builder
		text.WriteString(`{"compatibilities": {"` + salt + `": {"a": true`)
		for j := range attributes - 1 {
			fmt.Fprintf(&text, `,"k%d.%d":true`, i, j)
		}
		text.WriteString(`}}}`)
		layers[i] = b.content(dialect.LayerTypeOutline, []byte(text.String()))
	}
	return layers
}

func (b *bombRegistry) textBodies(salt string, n, size int) []ocispec.Descriptor {
	layers := make([]ocispec.Descriptor, n)
	for i := range layers {
		text := fmt.Sprintf(`{"compatibilities": {%q: {"a%d": "`, salt, i)
		layers[i] = b.content(dialect.LayerTypeOutline, []byte(text+strings.Repeat("x", size-len(text)-4)+`"}}}`))
	}
	return layers
}

// attributes are artifacts for the index, of the newest and an older type.
func attributes(b *bombRegistry, artifacts, bodies, attributes int) []ocispec.Descriptor {
	subject := b.manifests["1"]
	types := []string{dialect.ArtifactType, dialect.ArtifactTypeNFD, dialect.ArtifactTypeCompspec}
	var all []ocispec.Descriptor
	for i := range artifacts {
		layers := b.attributeBodies(fmt.Sprint(i), bodies, attributes)
		for j := range layers {
			if i > 0 {
				layers[j].MediaType = fmt.Sprintf("application/x%d", j)
			}
		}
		all = append(all, b.typed(types[i], digest.FromBytes(subject.body), layers...))
	}
	return all
}

// bodies attaches an artifact with 16 bodies that begin alike to each of 8 entries.
func (b *bombRegistry) bodies(artifactType, layerType, text string) {
	entries := b.entries(8)
	b.index(entries)
	for i := range entries {
		var layers []ocispec.Descriptor
		for j := range 16 {
			layers = append(layers, b.content(layerType, []byte(text+strings.Repeat(" ", 16*i+j))))
		}
		b.attach(entries[i].Digest, b.typed(artifactType, entries[i].Digest, layers...))
	}
}

// braces is an index of entries without anything in them.
func braces(size int) []byte {
	const head, tail = `{"schemaVersion":2,"manifests":[{}`, `]}`
	return []byte(head + strings.Repeat(",{}", (size-len(head)-len(tail))/3) + tail)
}

// manyReferrers is a list of descriptors of signatures.
func manyReferrers(size int) []byte {
	var text strings.Builder
	text.WriteString(`{"schemaVersion":2,"manifests":[`)
	for i := 0; text.Len() < size-400; i++ {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"mediaType":%q,"artifactType":"application/vnd.example.signature","digest":%q,"size":500}`,
			ocispec.MediaTypeImageManifest, digest.FromString(fmt.Sprint("signature ", i)))
	}
	text.WriteString(`]}`)
	return []byte(text.String())
}
