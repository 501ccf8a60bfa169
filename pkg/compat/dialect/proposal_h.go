package dialect

import (
	"cmp"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

const (
	maxSets                      = 1_000
	keyScore, keyScoreMisspelled = "oci.compatibility-score", "compatibility-score"
)

// proposalH is a list of flat sets of labels, of which one is enough:
//
//	{"compatibilities": [{LABEL: SCALAR}]}
func proposalH() Dialect {
	return Dialect{
		Name:          "proposal-h",
		ArtifactTypes: []string{ArtifactType},
		LayerTypes:    []string{LayerTypeOutline},
		Matches:       isFlat,
		Requirements:  flatRequirements,
		Attributes:    flatAttributes,
	}
}

// isFlat tells the list of Proposals H and J from the object of Proposal F and
// from lists of rules.
func isFlat(root *document.Node) bool {
	list := root.Field("compatibilities")
	return list != nil && list.Kind == document.List && !isRuleList(list)
}

func flatRequirements(in *spec.Interpreter, root *document.Node) ([]compat.Requirement, error) {
	err := cmp.Or(
		root.OnlyKeys("the document", "schemaVersion", "mediaType", "compatibilities", "annotations"),
		root.NeedKeys("compatibilities"), root.TextKeys("schemaVersion", "mediaType"),
		root.Field("annotations").AsMapping("annotations"),
	)
	if err != nil {
		return nil, err
	}
	return flatSets(in, root.Field("compatibilities"))
}

// flatSets reads compatibility sets: those of a body, or of the platform of an
// index entry. One that holds is enough, and the best score of those that do is
// the candidate's.
func flatSets(in *spec.Interpreter, list *document.Node) ([]compat.Requirement, error) {
	sets, err := list.AsList("compatibilities")
	switch {
	case err != nil:
		return nil, err
	case len(sets) == 0:
		return nil, list.Errorf("compatibilities has no set")
	case len(sets) > maxSets:
		return nil, list.Errorf("more than %d sets", maxSets)
	}
	return anyOf(list, func(_ int, n *document.Node) (compat.Requirement, error) { return flatSet(in, n) })
}

func flatSet(in *spec.Interpreter, n *document.Node) (compat.Requirement, error) {
	set := compat.Requirement{Key: "compatibilities", Combine: compat.AllOf}
	scored := false
	err := n.Each("a compatibility set", func(key, value *document.Node) (err error) {
		switch {
		case key.Value == keyScore || key.Value == keyScoreMisspelled:
			if scored {
				return key.Errorf("the score is given twice")
			}
			scored = true
			set.Weight, err = value.AsNumber(key.Value, compat.MaxWeight)
		case key.Value == "description" || key.Value == "oci.description":
			if value.Kind == document.Scalar {
				set.Title = textutil.Short(value.Value)
			}
		case !isNote(key.Value):
			_, err = value.AsText("the attribute " + textutil.Quote(key.Value))
		}
		return err
	})
	if err != nil {
		return compat.Requirement{}, err
	}
	set.Parts = in.Requirements(flatScope(n).Plain())
	return set, nil
}

// isNote tells the keys of a set that are about the set, and are not labels.
func isNote(key string) bool {
	switch key {
	case keyScore, keyScoreMisspelled, "description", "oci.description", "tag", "tags":
		return true
	default:
		return false
	}
}

func flatAttributes(root *document.Node) []Scope {
	var scopes []Scope
	for _, set := range root.Field("compatibilities").Members() {
		scopes = append(scopes, flatScope(set))
	}
	return scopes
}

// flatScope has the labels of one set, whose keys carry their group.
func flatScope(set *document.Node) Scope {
	group := groupOf("", set)
	labels := group.Attributes[:0]
	for _, a := range group.Attributes {
		if !isNote(a.Key) {
			a.Group = groupOfKey(a.Key)
			labels = append(labels, a)
		}
	}
	group.Attributes = labels
	return Scope{Groups: []Group{group}}
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
