// Package bombs is registries that send what is small to make and large to read: what a
// stranger may do to a node that pulls from them.
package bombs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// maxBody is the size of a manifest or list that registries and runtimes limit them to.
const maxBody = 4 << 20

// Bomb is one kind.
type Bomb struct {
	Name  string
	serve func(b *Registry)
}

// All lists what strangers may send, one kind each.
func All() []Bomb {
	return slices.Concat(ofIndexes(), ofBodies(), ofLists(), ofTexts(), ofConnections())
}

func ofIndexes() []Bomb {
	return []Bomb{
		{"nothing", func(b *Registry) { b.index(b.entries(1)) }},
		{"index of 1.4 million entries", func(b *Registry) { b.manifest("1", braces(maxBody)) }},
		{"index entry with 4 MiB of annotation", func(b *Registry) {
			entries := b.entries(1)
			entries[0].Annotations = map[string]string{"x": strings.Repeat("y", maxBody-1000)}
			b.index(entries)
		}},
		{"index of 1000 entries with platforms of 4 KiB", func(b *Registry) {
			entries := b.entries(1000)
			for i := range entries {
				entries[i].Platform.OSVersion = fmt.Sprintf("%d%s", i, strings.Repeat("y", 3500))
			}
			b.index(entries[:256])
		}},
		{"8 nested indexes of 4 MiB", func(b *Registry) {
			var nested []ocispec.Descriptor
			for i := range 8 {
				body := append(braces(maxBody-100), strings.Repeat(" ", i)...)
				nested = append(nested, b.put(ocispec.MediaTypeImageIndex, body))
			}
			b.index(nested)
		}},
	}
}

func ofBodies() []Bomb {
	return []Bomb{
		{"256 entries, 320000 attributes", func(b *Registry) {
			top := b.index(b.entries(256))
			b.attach(top.Digest, attributes(b, 2, 16, 10_000)...)
		}},
		{"256 entries, 16 bodies of 10000 attributes each", func(b *Registry) {
			entries := b.entries(256)
			b.index(entries)
			for i := range entries {
				b.attach(entries[i].Digest, b.artifact(entries[i].Digest, b.attributeBodies(fmt.Sprint(i), 16, 10_000)...))
			}
		}},
		{"64 bodies of 1 MiB of text", func(b *Registry) {
			entries := b.entries(4)
			b.index(entries)
			for i := range entries {
				b.attach(entries[i].Digest, b.artifact(entries[i].Digest, b.textBodies(fmt.Sprint(i), 16, 1<<20)...))
			}
		}},
	}
}

func ofLists() []Bomb {
	return []Bomb{
		{"257 lists of 4 MiB of {}", func(b *Registry) {
			b.index(b.entries(256))
			b.list = &content{ocispec.MediaTypeImageIndex, braces(maxBody)}
		}},
		{"257 lists of 4 MiB of descriptors", func(b *Registry) {
			b.index(b.entries(256))
			b.list = &content{ocispec.MediaTypeImageIndex, manyReferrers(maxBody)}
		}},
		{"257 lists of one descriptor of 4 MiB", func(b *Registry) {
			b.index(b.entries(256))
			b.list = &content{ocispec.MediaTypeImageIndex, fmt.Appendf(nil,
				`{"manifests": [{"mediaType": %q, "annotations": {"x": "%s"}}]}`, ocispec.MediaTypeImageManifest, strings.Repeat("y", maxBody-1000))}
		}},
		{"32 artifact manifests of 4 MiB for each entry", func(b *Registry) {
			entries := b.entries(256)
			b.index(entries)
			var artifacts []ocispec.Descriptor
			for i := range 32 {
				body := fmt.Sprintf(`{"artifactType": %q, "layers": [{}%s], "x": "%d"}`, dialect.ArtifactType, strings.Repeat(",{}", (maxBody-200)/3), i)
				d := b.put(ocispec.MediaTypeImageManifest, []byte(body))
				d.ArtifactType = dialect.ArtifactType
				artifacts = append(artifacts, d)
			}
			for i := range entries {
				b.attach(entries[i].Digest, artifacts...)
			}
		}},
	}
}

func ofTexts() []Bomb {
	return []Bomb{
		{"deep YAML", func(b *Registry) {
			b.bodies(dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, strings.Repeat("[", 1<<20-100))
		}},
		{"wide YAML", func(b *Registry) {
			b.bodies(dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, "["+strings.Repeat("a,", (1<<20-100)/2)+"a]")
		}},
		{"YAML of one character a row", func(b *Registry) {
			b.bodies(dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, "- a\n"+strings.Repeat("-\n", (1<<20-100)/2))
		}},
		{"wide JSON", func(b *Registry) {
			b.bodies(dialect.ArtifactType, dialect.LayerTypeOutline, "["+strings.Repeat("1,", (maxBody-100)/2)+"1]")
		}},
		{"configs of 4 MiB", func(b *Registry) {
			var entries []ocispec.Descriptor
			for i := range 8 {
				config := b.put(ocispec.MediaTypeImageConfig, []byte(fmt.Sprintf(`{"x": "%d%s"}`, i, strings.Repeat(`\n`, maxBody/2-100))))
				body, _ := json.Marshal(ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config})
				entries = append(entries, b.put(ocispec.MediaTypeImageManifest, body))
			}
			b.index(entries)
		}},
	}
}

func ofConnections() []Bomb {
	return []Bomb{
		{"huge headers", func(b *Registry) {
			b.index(b.entries(256))
			b.header = strings.Repeat("h", 200<<10)
		}},
		{"endless pages", func(b *Registry) {
			b.index(b.entries(256))
			b.list, b.endless = &content{ocispec.MediaTypeImageIndex, manyReferrers(maxBody)}, true
		}},
		{"slow bytes", func(b *Registry) {
			b.index(b.entries(256))
			b.slow = true
		}},
	}
}

type content struct {
	mediaType string
	body      []byte
}

// Registry sends one bomb, as HOST/ANYTHING:1. It is kept small: what it costs must not hide what
// reading it costs.
type Registry struct {
	server    *httptest.Server
	manifests map[string]content              // by tag or digest; blobs as well
	referrers map[string][]ocispec.Descriptor // by digest
	list      *content                        // in place of all lists of referrers
	header    string
	endless   bool
	slow      bool
}

// New starts a registry; Close ends it.
func New(what Bomb) *Registry {
	b := &Registry{manifests: map[string]content{}, referrers: map[string][]ocispec.Descriptor{}}
	what.serve(b)
	b.server = httptest.NewServer(b)
	return b
}

// Host is the address of the registry, as references have it.
func (b *Registry) Host() string { return strings.TrimPrefix(b.server.URL, "http://") }

// Close ends the registry and cuts its connections.
func (b *Registry) Close() {
	b.server.CloseClientConnections()
	b.server.Close()
}

// ServeHTTP answers for all repositories alike.
func (b *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	found, ok := b.manifests[name]
	if strings.Contains(r.URL.Path, "/referrers/") {
		body, _ := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: append([]ocispec.Descriptor{}, b.referrers[name]...)})
		found, ok = content{ocispec.MediaTypeImageIndex, body}, true
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

func (b *Registry) put(mediaType string, body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	b.manifests[d.Digest.String()] = content{mediaType, body}
	return d
}

func (b *Registry) manifest(tag string, body []byte) ocispec.Descriptor {
	b.manifests[tag] = content{ocispec.MediaTypeImageIndex, body}
	return b.put(ocispec.MediaTypeImageIndex, body)
}

func (b *Registry) index(entries []ocispec.Descriptor) ocispec.Descriptor {
	body, _ := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
	return b.manifest("1", body)
}

// entries are images of which nothing but the digest is there.
func (b *Registry) entries(n int) []ocispec.Descriptor {
	entries := make([]ocispec.Descriptor, n)
	for i := range entries {
		entries[i] = ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 100,
			Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: fmt.Sprintf("v%d", i%3+1)},
		}
	}
	return entries
}

func (b *Registry) attach(subject digest.Digest, artifacts ...ocispec.Descriptor) {
	b.referrers[subject.String()] = append(b.referrers[subject.String()], artifacts...)
}

func (b *Registry) artifact(subject digest.Digest, layers ...ocispec.Descriptor) ocispec.Descriptor {
	return b.typed(dialect.ArtifactType, subject, layers...)
}

func (b *Registry) typed(artifactType string, subject digest.Digest, layers ...ocispec.Descriptor) ocispec.Descriptor {
	body, _ := json.Marshal(ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: ocispec.DescriptorEmptyJSON,
		Layers: layers, Subject: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: subject, Size: 1},
	})
	d := b.put(ocispec.MediaTypeImageManifest, body)
	d.ArtifactType = artifactType
	return d
}

// attributeBodies are bodies with so many attributes that no specification knows.
func (b *Registry) attributeBodies(salt string, n, attributes int) []ocispec.Descriptor {
	layers := make([]ocispec.Descriptor, n)
	for i := range layers {
		var text strings.Builder
		text.WriteString(`{"compatibilities": {"` + salt + `": {"a": true`)
		for j := range attributes - 1 {
			fmt.Fprintf(&text, `,"k%d.%d":true`, i, j)
		}
		text.WriteString(`}}}`)
		layers[i] = b.put(dialect.LayerTypeOutline, []byte(text.String()))
	}
	return layers
}

func (b *Registry) textBodies(salt string, n, size int) []ocispec.Descriptor {
	layers := make([]ocispec.Descriptor, n)
	for i := range layers {
		text := fmt.Sprintf(`{"compatibilities": {%q: {"a%d": "`, salt, i)
		layers[i] = b.put(dialect.LayerTypeOutline, []byte(text+strings.Repeat("x", size-len(text)-4)+`"}}}`))
	}
	return layers
}

// attributes are artifacts for the index, of the newest and an older type.
func attributes(b *Registry, artifacts, bodies, attributes int) []ocispec.Descriptor {
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
func (b *Registry) bodies(artifactType, layerType, text string) {
	entries := b.entries(8)
	b.index(entries)
	for i := range entries {
		var layers []ocispec.Descriptor
		for j := range 16 {
			layers = append(layers, b.put(layerType, []byte(text+strings.Repeat(" ", 16*i+j))))
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
