package compat

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// LayerTypeCompatibilities is the type of the body that Proposal J and ocifit
// have, and ArtifactTypeCompatibilities that of an artifact that holds one.
const (
	LayerTypeCompatibilities     = "application/vnd.oci.image.compatibilities.v1+json"
	ArtifactTypeCompatibilities  = LayerTypeCompatibilities
	maxFlatSets                  = 1_000
	keyScore, keyScoreMisspelled = "oci.compatibility-score", "compatibility-score"
)

// flatDialect is Proposal H: a list of flat sets of labels, of which one
// suffices.
func flatDialect() Dialect {
	return Dialect{
		Name:          "proposal-h",
		ArtifactTypes: []string{ArtifactType},
		LayerTypes:    []string{LayerTypeOutline},
		Claims:        isFlat,
		Parse:         parseFlatDocument,
	}
}

// bodyDialect is Proposal J and what ocifit writes: the same sets in a body
// that names its own type.
func bodyDialect() Dialect {
	return Dialect{
		Name:          "proposal-j",
		ArtifactTypes: []string{ArtifactTypeCompatibilities, ArtifactType},
		LayerTypes:    []string{LayerTypeCompatibilities},
		Claims:        isFlat,
		Parse:         parseFlatDocument,
	}
}

// isFlat tells the list of Proposals H and J from the object of Proposal F.
func isFlat(body []byte) bool {
	root, err := parseJSON(body)
	if err != nil {
		return false
	}
	list := field(root, "compatibilities")
	return list != nil && list.Kind == yaml.SequenceNode && !isRuleList(list)
}

func parseFlatDocument(in *Interpreter, body []byte) ([]Requirement, error) {
	root, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	var list *yaml.Node
	err = eachField(root, "the document", func(key, value *yaml.Node) error {
		switch key.Value {
		case "compatibilities":
			list = value
			return nil
		case "schemaVersion", "mediaType":
			_, err := scalarOf(value, key.Value)
			return err
		case "annotations":
			return eachField(value, "annotations", func(_, _ *yaml.Node) error { return nil })
		default:
			return unknownKey(key, "the document", "schemaVersion", "mediaType", "compatibilities", "annotations")
		}
	})
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, nodeError(root, `key "compatibilities" is missing`)
	}
	return flatSets(in, list)
}

// flatSets reads compatibility sets: those of a body, or of the platform of an
// index entry. One that holds is enough; the best score of those that do
// counts.
func flatSets(in *Interpreter, list *yaml.Node) ([]Requirement, error) {
	sets, err := listOf(list, "compatibilities")
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return nil, nodeError(list, "compatibilities has no set")
	}
	if len(sets) > maxFlatSets {
		return nil, nodeError(list, "more than %d sets", maxFlatSets)
	}
	anyOf := Requirement{Key: "compatibilities", Combine: AnyOf}
	for i := range sets {
		set, err := flatSet(in, sets[i])
		if err != nil {
			return nil, err
		}
		anyOf.Parts = append(anyOf.Parts, set)
	}
	return []Requirement{anyOf}, nil
}

func flatSet(in *Interpreter, node *yaml.Node) (Requirement, error) {
	set := Requirement{Key: "compatibilities", Combine: AllOf}
	var attributes []Attribute
	scored := false
	err := eachField(node, "a compatibility set", func(key, value *yaml.Node) error {
		var err error
		switch key.Value {
		case keyScore, keyScoreMisspelled:
			if scored {
				return nodeError(key, "the score is there twice")
			}
			scored = true
			set.Weight, err = wholeNumber(value, key.Value, maxWeight)
			return err
		case "description", "oci.description", "tag", "tags":
			if value.Kind == yaml.ScalarNode && key.Value != "tag" && key.Value != "tags" {
				set.Title = shortened(value.Value)
			}
			return nil
		}
		a, err := attributeOf(groupOfKey(key.Value), key, value)
		attributes = append(attributes, a)
		return err
	})
	if err != nil {
		return Requirement{}, err
	}
	set.Parts = in.Requirements(attributes)
	return set, nil
}

// groupOfKey is the group that a key carries in front: oci of oci.cpu.vendor,
// org.supercontainers of org.supercontainers.mpi.version.
func groupOfKey(key string) string {
	parts := strings.Split(key, ".")
	if len(parts) > 2 && (parts[0] == "org" || parts[0] == "io" || parts[0] == "com" || parts[0] == "llnl") {
		return parts[0] + "." + parts[1]
	}
	return parts[0]
}
