package stack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is a variant of the workload, to be pushed by a [Repo].
type Image struct {
	// Variant is what the workload prints; it also makes the image's config, and
	// so its CRI image id, differ from every other variant's.
	Variant string
	// Platform is what index and config say; the zero value is this machine's.
	Platform ocispec.Platform
	// User is the config's user, "" for root.
	User string
	// Annotations are those of the image's entry in the index.
	Annotations map[string]string
	// Attested adds a BuildKit attestation entry (platform unknown/unknown) for
	// this image to the end of the index.
	Attested bool
	// PlainLayer leaves the layers uncompressed: another manifest with the same
	// config, and so the same CRI image id.
	PlainLayer bool
	// OwnLayer adds a layer that no other variant has, with the file /variant that
	// says which it is. Without it an image counts as unpacked wherever another
	// one is, the pause image included.
	OwnLayer bool
	// OwnLayerType is the media type that the manifest gives that layer, which stays a
	// gzipped tar; "" is the right one.
	OwnLayerType string
}

// platform is the image's with the defaults filled in.
func (i Image) platform() ocispec.Platform {
	p := i.Platform
	if p.OS == "" {
		p.OS = "linux"
	}
	if p.Architecture == "" {
		p.Architecture = runtime.GOARCH
	}
	return p
}

// config is the image's config file around its layers.
func (i Image) config(layers ...layer) ocispec.Image {
	config := ocispec.Image{Platform: i.platform()}
	config.Config = ocispec.ImageConfig{
		User:       i.User,
		Env:        []string{"PATH=/", "VARIANT=" + i.Variant},
		Entrypoint: []string{"/workload"},
		Cmd:        []string{"hold"},
		Labels:     map[string]string{"imagefit.test/variant": i.Variant},
	}
	config.RootFS.Type = "layers"
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
	}
	return config
}

// layer is the one layer that all images share: the workload.
type layer struct {
	gzip   []byte
	plain  []byte
	diffID digest.Digest
}

// workloadLayer builds the layer once for a registry.
func (r *Registry) workloadLayer(ctx context.Context) (layer, error) {
	r.layerOnce.Do(func() { r.layer, r.layerErr = buildLayer(ctx) })
	return r.layer, r.layerErr
}

func buildLayer(ctx context.Context) (layer, error) {
	bin, err := Peers(ctx, "workload")
	if err != nil {
		return layer{}, err
	}
	program, err := os.ReadFile(filepath.Join(bin, "workload"))
	if err != nil {
		return layer{}, fmt.Errorf("read the workload: %w", err)
	}
	return packLayer("workload", program)
}

// packLayer makes a layer of one program.
func packLayer(name string, program []byte) (layer, error) {
	var plain, packed bytes.Buffer
	files := tar.NewWriter(&plain)
	// Writes to memory do not go wrong; Close reports a malformed archive.
	_ = files.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(program))})
	_, _ = files.Write(program)
	if err := files.Close(); err != nil {
		return layer{}, fmt.Errorf("pack %s: %w", name, err)
	}
	compress, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return layer{}, fmt.Errorf("compress %s: %w", name, err)
	}
	_, _ = compress.Write(plain.Bytes())
	if err := compress.Close(); err != nil {
		return layer{}, fmt.Errorf("compress %s: %w", name, err)
	}
	return layer{gzip: packed.Bytes(), plain: plain.Bytes(), diffID: digest.FromBytes(plain.Bytes())}, nil
}

// blob is bytes with their descriptor.
type blob struct {
	desc ocispec.Descriptor
	body []byte
}

func newBlob(mediaType string, body []byte) blob {
	return blob{body: body, desc: ocispec.Descriptor{
		MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body)),
	}}
}

func jsonBlob(mediaType string, value any) (blob, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return blob{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	return newBlob(mediaType, body), nil
}

// manifestOf is an image manifest of some layers.
func manifestOf(config blob, layers ...blob) (blob, error) {
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config.desc,
	}
	for _, l := range layers {
		manifest.Layers = append(manifest.Layers, l.desc)
	}
	return jsonBlob(ocispec.MediaTypeImageManifest, manifest)
}

// build makes the image's blobs: layers, config and manifest.
func (i Image) build(l layer) (blobs []blob, manifest blob, err error) {
	layers := []layer{l}
	if i.OwnLayer {
		own, err := packLayer("variant", []byte(i.Variant))
		if err != nil {
			return nil, blob{}, err
		}
		layers = append(layers, own)
	}
	config, err := jsonBlob(ocispec.MediaTypeImageConfig, i.config(layers...))
	if err != nil {
		return nil, blob{}, err
	}
	for _, l := range layers {
		if i.PlainLayer {
			blobs = append(blobs, newBlob(ocispec.MediaTypeImageLayer, l.plain))
		} else {
			blobs = append(blobs, newBlob(ocispec.MediaTypeImageLayerGzip, l.gzip))
		}
	}
	if i.OwnLayerType != "" {
		blobs[len(blobs)-1].desc.MediaType = i.OwnLayerType
	}
	manifest, err = manifestOf(config, blobs...)
	return append(blobs, config), manifest, err
}

// attestation makes what BuildKit adds to an index for each image.
func attestation(of ocispec.Descriptor) (blobs []blob, manifest blob, err error) {
	unknown := ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	statement := newBlob("application/vnd.in-toto+json", []byte(`{"_type":"https://in-toto.io/Statement/v0.1"}`))
	config, err := jsonBlob(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: unknown,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{statement.desc.Digest}},
	})
	if err != nil {
		return nil, blob{}, err
	}
	manifest, err = manifestOf(config, statement)
	manifest.desc.Platform = &unknown
	manifest.desc.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": of.Digest.String(),
	}
	return []blob{statement, config}, manifest, err
}
