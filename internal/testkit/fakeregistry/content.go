package fakeregistry

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// Blob stores a blob.
func (r *Registry) Blob(mediaType, text string) ocispec.Descriptor {
	r.t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(text), Size: int64(len(text))}
	if _, err := r.memory.PushBlob(context.Background(), r.Repository, desc, strings.NewReader(text)); err != nil {
		r.t.Fatal(err)
	}
	r.forget("blobs/" + desc.Digest.String())
	return desc
}

// Manifest stores a manifest or index, or the bytes that stand in for one, under
// its digest and the tags. What no registry would take is served all the same.
func (r *Registry) Manifest(mediaType string, manifest any, tags ...string) ocispec.Descriptor {
	r.t.Helper()
	body, isRaw := manifest.([]byte)
	if !isRaw {
		var err error
		if body, err = json.Marshal(manifest); err != nil {
			r.t.Fatal(err)
		}
		body = bytes.Replace(body, []byte(`"schemaVersion":0`), []byte(`"schemaVersion":2`), 1)
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	for _, tag := range append([]string{""}, tags...) {
		path := "manifests/" + tag
		if tag == "" {
			path = "manifests/" + desc.Digest.String()
		}
		_, err := r.memory.PushManifest(context.Background(), r.Repository, tag, body, mediaType)
		switch {
		case err == nil:
			r.forget(path)
		case r.options.Strict:
			r.t.Fatal(err)
		default:
			r.Serve(path, mediaType, body)
		}
	}
	return desc
}

// Image stores an image for a platform such as "linux/amd64/v3" and returns its
// entry for an index; the name makes it differ from others of the platform.
func (r *Registry) Image(platform, name string, tags ...string) ocispec.Descriptor {
	r.t.Helper()
	desc := r.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Config: r.Blob(ocispec.MediaTypeImageConfig, config(platform, name)),
		Layers: []ocispec.Descriptor{},
	}, tags...)
	desc.Platform = platformOf(platform)
	return desc
}

// ImageID is what a runtime calls the image that Image stores: its config's digest.
func ImageID(platform, name string) string { return digest.FromString(config(platform, name)).String() }

func config(platform, name string) string {
	body, _ := json.Marshal(ocispec.Image{Author: name, Platform: *platformOf(platform)})
	return string(body)
}

func platformOf(platform string) *ocispec.Platform {
	parts := append(strings.Split(platform, "/"), "", "")
	return &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}

// Index stores an index.
func (r *Registry) Index(tag string, entries ...ocispec.Descriptor) ocispec.Descriptor {
	r.t.Helper()
	return r.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries}, tag)
}

// Artifact is a compatibility artifact; the zero value of a field means what a
// right one has.
type Artifact struct {
	Attributes  string // the inside of a group of NFD's, such as `"cpu-cpuid.AVX2": true`
	Body        string // in place of one with the attributes
	LayerType   string
	ListedType  string // in the list of referrers; "none" for none
	Annotations map[string]string
	Change      func(m *ocispec.Manifest)
}

// Attach stores an artifact and lists it as a referrer of the subject, whatever it
// says itself.
func (r *Registry) Attach(subject ocispec.Descriptor, a Artifact) ocispec.Descriptor {
	r.t.Helper()
	if a.Body == "" {
		a.Body = `{"compatibilities": {"io.kubernetes.nfd": {` + a.Attributes + `}}}`
	}
	if a.LayerType == "" {
		a.LayerType = dialect.LayerTypeOutline
	}
	of := subject
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: dialect.ArtifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{r.Blob(a.LayerType, a.Body)},
		Subject: &of, Annotations: a.Annotations,
	}
	if a.Change != nil {
		a.Change(&m)
	}
	desc := r.Manifest(ocispec.MediaTypeImageManifest, m)
	switch desc.ArtifactType, desc.Annotations = dialect.ArtifactType, a.Annotations; a.ListedType {
	case "":
	case "none":
		desc.ArtifactType = ""
	default:
		desc.ArtifactType = a.ListedType
	}
	r.List(subject, desc)
	return desc
}

// List adds to the referrers of a subject, whatever they are.
func (r *Registry) List(subject ocispec.Descriptor, referrers ...ocispec.Descriptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	path := r.path("referrers/" + subject.Digest.String())
	r.listed[path] = append(r.listed[path], referrers...)
}

// Unlist makes a subject one that nothing refers to.
func (r *Registry) Unlist(subject ocispec.Descriptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed[r.path("referrers/"+subject.Digest.String())] = nil
}

// Serve answers requests for a path with these bytes, whatever else is there. The
// path is one of the repository, such as "manifests/1", or begins with a slash.
func (r *Registry) Serve(path, mediaType string, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served[r.path(path)] = content{mediaType, append([]byte{}, body...)}
}

// Remove makes a path one that is not there.
func (r *Registry) Remove(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served[r.path(path)] = content{}
}

// forget undoes Serve and Remove.
func (r *Registry) forget(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.served, r.path(path))
}

func (r *Registry) path(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/v2/" + r.Repository + "/" + path
}

// Content returns a manifest by its tag or digest, or a blob by its digest, and the
// media type of it. It takes no request, and is nil for what is not there.
func (r *Registry) Content(reference string) (body []byte, mediaType string) {
	r.t.Helper()
	r.mu.Lock()
	served, ok := r.served[r.path("manifests/"+reference)]
	r.mu.Unlock()
	if ok {
		return served.body, served.mediaType
	}
	ctx, d := context.Background(), digest.Digest(reference)
	reader, err := r.memory.GetTag(ctx, r.Repository, reference)
	if err != nil {
		reader, err = r.memory.GetManifest(ctx, r.Repository, d)
	}
	if err != nil {
		reader, err = r.memory.GetBlob(ctx, r.Repository, d)
	}
	if err != nil {
		return nil, ""
	}
	defer func() { _ = reader.Close() }()
	body, err = io.ReadAll(reader)
	if err != nil {
		r.t.Fatal(err)
	}
	return body, reader.Descriptor().MediaType
}

// Get returns the manifest of a digest, or nil.
func (r *Registry) Get(d digest.Digest) *ocispec.Manifest {
	r.t.Helper()
	body, _ := r.Content(d.String())
	if body == nil {
		return nil
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		r.t.Fatal(err)
	}
	return &m
}
