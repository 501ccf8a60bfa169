package dialect

import "github.com/imagefit/imagefit/pkg/compat/document"

// LayerTypeCompatibilities is the type of the body that Proposal J and ocifit
// have, and ArtifactTypeCompatibilities that of an artifact that has one.
const (
	LayerTypeCompatibilities    = "application/vnd.oci.image.compatibilities.v1+json"
	ArtifactTypeCompatibilities = LayerTypeCompatibilities
)

// proposalJ is Proposal J and what ocifit writes: the sets of Proposal H in a
// body that names its own type.
func proposalJ() Dialect {
	return Dialect{
		Name:          "proposal-j",
		ArtifactTypes: []string{ArtifactTypeCompatibilities, ArtifactType},
		LayerTypes:    []string{LayerTypeCompatibilities},
		Matches: func(root *document.Node) bool {
			return isFlat(root) && (root.Field("mediaType") != nil || root.Field("schemaVersion") != nil)
		},
		Requirements: flatRequirements,
		Attributes:   flatAttributes,
	}
}
