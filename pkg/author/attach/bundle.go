package attach

import (
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/trust"
)

// PackBundle makes the manifest of the artifact that carries a bundle, as cosign 3 makes
// it. predicate is the type of what the bundle states.
func PackBundle(bundle []byte, predicate string, subject ocispec.Descriptor, created time.Time) (Packed, error) {
	body := Body{ArtifactType: trust.BundleType, LayerType: trust.BundleType, Bytes: bundle}
	return pack(body, subject, created, map[string]string{
		trust.AnnotationContent: trust.ContentDSSE, trust.AnnotationPredicate: predicate,
	})
}
