package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

// Media types of Proposal F, the defaults of [Artifact].
const (
	CompatibilityType      = "application/vnd.oci.image-compatibility.v1"
	CompatibilityLayerType = "application/vnd.oci.image-compatibility.spec.v1+json"
)

// Repo is a repository of a registry, to push into.
type Repo struct {
	registry *Registry
	name     string
	remote   *remote.Repository
}

// Repo names a repository; it exists from the first push on.
func (r *Registry) Repo(name string) *Repo {
	return &Repo{registry: r, name: name, remote: &remote.Repository{
		Client:    &http.Client{Transport: pusher{r}},
		Reference: orasregistry.Reference{Registry: r.backHost, Repository: name},
		PlainHTTP: true,
	}}
}

// pusher asks the backend, with the login that it wants.
type pusher struct{ registry *Registry }

func (p pusher) RoundTrip(req *http.Request) (*http.Response, error) {
	if login := p.registry.login; login != (Login{}) {
		req = req.Clone(req.Context())
		req.SetBasicAuth(login.User, login.Password)
	}
	return p.registry.transport.RoundTrip(req)
}

// Ref is the reference of a tag, as a pod would say it: HOST/NAME:TAG.
func (r *Repo) Ref(tag string) string { return r.registry.Host + "/" + r.name + ":" + tag }

// DigestRef is the reference of a manifest or index: HOST/NAME@DIGEST.
func (r *Repo) DigestRef(desc ocispec.Descriptor) string {
	return r.registry.Host + "/" + r.name + "@" + desc.Digest.String()
}

// PushImage pushes a single image and tags it, with no index around it. An empty
// tag leaves it untagged.
func (r *Repo) PushImage(ctx context.Context, tag string, image Image) (ocispec.Descriptor, error) {
	workload, err := r.registry.workloadLayer(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	blobs, manifest, err := image.build(workload)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	platform := image.platform()
	manifest.desc.Platform, manifest.desc.Annotations = &platform, image.Annotations
	return manifest.desc, r.pushAll(ctx, tag, blobs, manifest)
}

// PushIndex pushes images, an index of them in that order, and tags the index. It
// returns the index and the images' manifests in the same order.
func (r *Repo) PushIndex(ctx context.Context, tag string, images ...Image) (ocispec.Descriptor, []ocispec.Descriptor, error) {
	var manifests, attestations []ocispec.Descriptor
	for _, image := range images {
		manifest, err := r.PushImage(ctx, "", image)
		if err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		manifests = append(manifests, manifest)
		if !image.Attested {
			continue
		}
		blobs, extra, err := attestation(manifest)
		if err == nil {
			err = r.pushAll(ctx, "", blobs, extra)
		}
		if err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		attestations = append(attestations, extra.desc)
	}
	index, err := r.PushIndexOf(ctx, tag, append(manifests[:len(manifests):len(manifests)], attestations...)...)
	return index, manifests, err
}

// PushIndexOf pushes an index of whatever descriptors: other indexes, manifests
// that do not exist, many thousands.
func (r *Repo) PushIndexOf(ctx context.Context, tag string, entries ...ocispec.Descriptor) (ocispec.Descriptor, error) {
	index, err := jsonBlob(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: entries,
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return index.desc, r.pushAll(ctx, tag, nil, index)
}

// Config is the digest of a manifest's config: what CRI calls the image.
func (r *Repo) Config(ctx context.Context, manifest ocispec.Descriptor) (digest.Digest, error) {
	m, err := r.Manifest(ctx, manifest)
	return m.Config.Digest, err
}

// Manifest reads a manifest.
func (r *Repo) Manifest(ctx context.Context, manifest ocispec.Descriptor) (m ocispec.Manifest, err error) {
	body, err := content.FetchAll(ctx, r.remote.Manifests(), manifest)
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read manifest %s of %s: %w", manifest.Digest, r.name, err)
	}
	return m, nil
}

// PushManifest pushes any bytes as a manifest, for what no helper here makes.
func (r *Repo) PushManifest(ctx context.Context, tag, mediaType string, body []byte) (ocispec.Descriptor, error) {
	manifest := newBlob(mediaType, body)
	return manifest.desc, r.pushAll(ctx, tag, nil, manifest)
}

// PushBlob pushes any bytes as a blob.
func (r *Repo) PushBlob(ctx context.Context, mediaType string, body []byte) (ocispec.Descriptor, error) {
	b := newBlob(mediaType, body)
	return b.desc, r.pushBlob(ctx, b)
}

// Artifact is a document about an image or index. The zero value of a type is
// that of image compatibility.
type Artifact struct {
	Type, LayerType string
	Body            []byte
	Annotations     map[string]string
}

// Attach pushes an artifact as a referrer of the subject: by the referrers API, or
// by the tag schema where the registry has none.
func (r *Repo) Attach(ctx context.Context, subject ocispec.Descriptor, artifact Artifact) (ocispec.Descriptor, error) {
	if artifact.Type == "" {
		artifact.Type = CompatibilityType
	}
	if artifact.LayerType == "" {
		artifact.LayerType = CompatibilityLayerType
	}
	body := newBlob(artifact.LayerType, artifact.Body)
	// A subject is media type, digest and size; nothing of its index entry.
	plain := ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	manifest, err := jsonBlob(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifact.Type,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       []ocispec.Descriptor{body.desc},
		Subject:      &plain,
		Annotations:  artifact.Annotations,
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest.desc.ArtifactType = artifact.Type
	empty := newBlob(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
	return manifest.desc, r.pushAll(ctx, "", []blob{body, empty}, manifest)
}

// pushAll pushes blobs, then the manifest that names them, then its tag.
func (r *Repo) pushAll(ctx context.Context, tag string, blobs []blob, manifest blob) error {
	for _, b := range blobs {
		if err := r.pushBlob(ctx, b); err != nil {
			return err
		}
	}
	var err error
	if tag == "" {
		err = r.remote.Manifests().Push(ctx, manifest.desc, bytes.NewReader(manifest.body))
	} else {
		err = r.remote.Manifests().PushReference(ctx, manifest.desc, bytes.NewReader(manifest.body), tag)
	}
	if err != nil {
		return fmt.Errorf("push manifest %s to %s: %w", manifest.desc.Digest, r.name, err)
	}
	return nil
}

func (r *Repo) pushBlob(ctx context.Context, b blob) error {
	exists, err := r.remote.Blobs().Exists(ctx, b.desc)
	if err == nil && !exists {
		err = r.remote.Blobs().Push(ctx, b.desc, bytes.NewReader(b.body))
	}
	if err != nil {
		return fmt.Errorf("push blob %s to %s: %w", b.desc.Digest, r.name, err)
	}
	return nil
}
