package attach

import (
	"encoding/json"
	"fmt"
	"time"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxInlined bounds the bodies that are in their manifest too, which saves every node that
// pulls the image a request. Registries count the bytes of manifests.
const maxInlined = 4 << 10

// Packed is an artifact that is ready to be pushed.
type Packed struct {
	Descriptor ocispec.Descriptor // of the manifest
	Manifest   []byte
	Created    time.Time
	Layer      ocispec.Descriptor
	body       []byte
}

// Pack makes the manifest of an artifact. The time decides which of several
// artifacts applies, in whole seconds as other tools write it.
func Pack(body Body, subject Subject, created time.Time) (Packed, error) {
	return pack(body, subject.Descriptor, created, map[string]string{})
}

func pack(body Body, of ocispec.Descriptor, created time.Time, annotations map[string]string) (Packed, error) {
	created = created.UTC().Truncate(time.Second)
	layer := ocispec.Descriptor{
		MediaType: body.LayerType, Digest: digest.FromBytes(body.Bytes), Size: int64(len(body.Bytes)),
	}
	if body.Title != "" {
		layer.Annotations = map[string]string{ocispec.AnnotationTitle: body.Title}
	}
	inManifest := layer
	if len(body.Bytes) <= maxInlined {
		inManifest.Data = body.Bytes
	}
	annotations[ocispec.AnnotationCreated] = created.Format(time.RFC3339)
	manifest, err := json.MarshalIndent(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: body.ArtifactType,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       []ocispec.Descriptor{inManifest},
		Subject:      &ocispec.Descriptor{MediaType: of.MediaType, Digest: of.Digest, Size: of.Size},
		Annotations:  annotations,
	}, "", "  ")
	if err != nil {
		return Packed{}, fmt.Errorf("make manifest: %w", err)
	}
	return Packed{
		Descriptor: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, ArtifactType: body.ArtifactType,
			Digest: digest.FromBytes(manifest), Size: int64(len(manifest)),
		},
		Manifest: manifest, Created: created, Layer: layer, body: body.Bytes,
	}, nil
}
