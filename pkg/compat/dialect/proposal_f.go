package dialect

import (
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// ProposalF is the name of the dialect of Proposal F ("artifact compatibility
// outline") of the OCI image compatibility working group.
const ProposalF = "proposal-f"

// Media types of Proposal F, the layer type of the merged text and that of the
// first revision.
const (
	ArtifactType        = "application/vnd.oci.image-compatibility.v1"
	LayerTypeOutline    = "application/vnd.oci.image-compatibility.spec.v1+json"
	LayerTypeOutlineNFD = "application/k8s.nfd.image-compatibility.spec.v1+json"
)

// proposalF is Proposal F, both revisions:
//
//	{"compatibilities": {GROUP: {KEY: SCALAR}}}
//
// Keys beside "compatibilities" are left to later revisions.
func proposalF() Dialect {
	return Dialect{
		Name:          ProposalF,
		ArtifactTypes: []string{ArtifactType},
		LayerTypes:    []string{LayerTypeOutline, LayerTypeOutlineNFD},
		Matches: func(root *document.Node) bool {
			groups := root.Field("compatibilities")
			return groups != nil && groups.Kind == document.Mapping
		},
		Requirements: func(in *spec.Interpreter, root *document.Node) ([]compat.Requirement, error) {
			if err := checkProposalF(root); err != nil {
				return nil, err
			}
			return requirementsOf(in, proposalFAttributes(root)[0])
		},
		Attributes: proposalFAttributes,
	}
}

func proposalFAttributes(root *document.Node) []Scope {
	var s Scope
	for name, group := range root.Field("compatibilities").Pairs {
		s.Groups = append(s.Groups, groupOf(name.Value, group))
	}
	return []Scope{s}
}

func checkProposalF(root *document.Node) error {
	groups := root.Lookup("compatibilities")
	switch {
	case root.Kind != document.Mapping:
		return root.Errorf("expected the document to be an object, found %s", root.Describe())
	case groups == nil:
		return root.Errorf(`key "compatibilities" is missing`)
	case groups.Kind != document.Mapping:
		return groups.Errorf("expected compatibilities to be an object, found %s", groups.Describe())
	}
	for group, attributes := range groups.Pairs {
		if attributes.Kind != document.Mapping {
			return attributes.Errorf("expected group %s to be an object, found %s", textutil.Quote(group.Value), attributes.Describe())
		}
		for key, value := range attributes.Pairs {
			if value.Kind != document.Scalar || value.IsNull() {
				return value.Errorf("group %s, key %s: expected true, false, a number or a string, found %s",
					textutil.Quote(group.Value), textutil.Quote(key.Value), value.Describe())
			}
		}
	}
	return nil
}
