package dialect

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// NFD is the name of the dialect of Node Feature Discovery.
const NFD = "nfd-v1alpha1"

// Types of NFD's image compatibility artifacts, those of its code and those of
// its enhancement proposals (KEP-1845).
const (
	ArtifactTypeNFD    = "application/vnd.nfd.image-compatibility.v1alpha1"
	LayerTypeNFD       = "application/vnd.nfd.image-compatibility.spec.v1alpha1+yaml"
	ArtifactTypeNFDKEP = "application/vnd.k8s.nfd.image-compatibility.v1"
	LayerTypeNFDKEP    = "application/vnd.k8s.nfd.image-compatibility.spec.v1+yaml"
)

// maxNFDTerms bounds what one spec may have, so that evaluating it stays cheap.
const maxNFDTerms = 2_000

// nfd is the image compatibility spec of Node Feature Discovery:
//
//	{version: v1alpha1, compatibilities: [{rules: [...], weight, tag, description}]}
//
// The rules of one set all hold, or the set does not; one set that holds is
// enough, and the best weight of those that do is the candidate's. NFD itself
// takes any layer, so those that are of a JSON type are read too.
func nfd() Dialect {
	return Dialect{
		Name:          NFD,
		ArtifactTypes: []string{ArtifactTypeNFD, ArtifactTypeNFDKEP},
		LayerTypes:    []string{LayerTypeNFD},
		AnyLayer:      true,
		YAML:          true,
		Matches: func(root *document.Node) bool {
			list, version := root.Field("compatibilities"), root.Field("version").Text()
			return isRuleList(list) || isNFDVersion(version) && (list == nil || list.Kind == document.List)
		},
		Requirements: func(_ *spec.Interpreter, root *document.Node) ([]compat.Requirement, error) {
			return (&nfdParser{}).document(root)
		},
	}
}

// isNFDVersion takes the version of NFD's code, and that of KEP-2403.
func isNFDVersion(version string) bool { return version == "v1alpha1" || version == "v1" }

// isRuleList tells a list of sets of rules from one of flat sets.
func isRuleList(list *document.Node) bool {
	return slices.ContainsFunc(list.Members(), func(set *document.Node) bool { return set.Key("rules") != nil })
}

type nfdParser struct {
	terms   int    // so far
	pattern int    // size of the regular expressions so far
	dynamic string // rule of this set whose variables are made by a template
}

func (p *nfdParser) document(root *document.Node) ([]compat.Requirement, error) {
	if is, instead := RuleObject(root); is != "" {
		return nil, root.Field("kind").Errorf("%s; use %s", is, instead)
	}
	err := cmp.Or(root.OnlyKeys("the document", "version", "compatibilities"), root.TextKeys("version"))
	if err != nil {
		return nil, err
	}
	if version := root.Field("version"); version != nil && !isNFDVersion(version.Value) {
		return nil, version.Errorf("version is %s, not v1alpha1", version.Describe())
	}
	if err := root.NeedKeys("version", "compatibilities"); err != nil {
		return nil, err
	}
	return anyOf(root.Field("compatibilities"), func(i int, n *document.Node) (compat.Requirement, error) {
		p.dynamic = "" // what rules define is seen in their set alone; NFD lets it leak into the next
		return readSet(i, n, p.rule)
	})
}

// reader reads a member of a list, at a position, into what it says.
type reader[T any] func(i int, n *document.Node) (T, error)

// eachOf reads the members of a list.
func eachOf[T any](n *document.Node, what string, member reader[T]) ([]T, error) {
	members, err := n.AsList(what)
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(members))
	for i, m := range members {
		one, err := member(i, m)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// anyOf reads compatibility sets, of which one is enough. Where there is none,
// nothing is asked.
func anyOf(list *document.Node, set reader[compat.Requirement]) ([]compat.Requirement, error) {
	sets, err := eachOf(list, "compatibilities", set)
	if err != nil || len(sets) == 0 {
		return nil, err
	}
	return []compat.Requirement{{Key: "compatibilities", Combine: compat.AnyOf, Parts: sets}}, nil
}

// readSet reads a compatibility set of NFD or of ocifit-k8s.
func readSet(i int, n *document.Node, rule reader[compat.Requirement]) (compat.Requirement, error) {
	err := cmp.Or(
		n.OnlyKeys("a compatibility set", "rules", "weight", "tag", "description"),
		n.TextKeys("tag", "description"), n.NeedKeys("rules"),
	)
	if err != nil {
		return compat.Requirement{}, err
	}
	tag, description := n.Field("tag").Text(), n.Field("description").Text()
	req := compat.Requirement{
		Key: cmp.Or(textutil.Short(tag), fmt.Sprintf("set %d", i+1)), Title: cmp.Or(description, tag), Combine: compat.AllOf,
	}
	if weight := n.Field("weight"); weight != nil {
		if req.Weight, err = weight.AsNumber("weight", compat.MaxWeight); err != nil {
			return compat.Requirement{}, err
		}
	}
	req.Parts, err = eachOf(n.Field("rules"), "rules", rule)
	return req, err
}
