package dialect

import (
	"cmp"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// Compspec is the name of the dialect of compspec and of Proposal D.
const Compspec = "compspec"

// Types of compspec's artifacts: its documents say the first, its code the
// second. The layer has the same type as the artifact.
const (
	ArtifactTypeCompspec    = "application/org.supercontainers.compspec"
	ArtifactTypeCompspecOrg = "application/org.compspec"
)

// compspec is a CompatibilitySpec:
//
//	{version, kind: "CompatibilitySpec", metadata, compatibilities: [{name, version, schema, attributes}]}
//
// Proposal D calls the attributes annotations. The name of each entry is the
// group of its attributes. compat-lib has {version, attributes} alone, whose
// keys begin with their group. A schema that is named is never fetched.
func compspec() Dialect {
	return Dialect{
		Name:          Compspec,
		ArtifactTypes: []string{ArtifactTypeCompspec, ArtifactTypeCompspecOrg},
		LayerTypes:    []string{ArtifactTypeCompspec, ArtifactTypeCompspecOrg},
		AnyLayer:      true,
		Matches:       isCompspec,
		Requirements: func(in *spec.Interpreter, root *document.Node) ([]compat.Requirement, error) {
			if err := checkCompspec(root); err != nil {
				return nil, err
			}
			return requirementsOf(in, compspecAttributes(root)[0])
		},
		Attributes: compspecAttributes,
	}
}

// isCompspec goes by the kind, by compat-lib's attributes, or by entries that
// have a name and attributes.
func isCompspec(root *document.Node) bool {
	list := root.Field("compatibilities")
	switch {
	case list == nil:
		return root.Field("kind") != nil || root.Field("attributes") != nil
	case list.Kind != document.List:
		return root.Field("kind").Text() == "CompatibilitySpec"
	case root.Field("kind") != nil:
		return true
	}
	for _, entry := range list.Values {
		if entry.Key("name") != nil && (entry.Key("attributes") != nil || entry.Key("annotations") != nil) {
			return true
		}
	}
	return false
}

// isCompatLib tells what compat-lib writes.
func isCompatLib(root *document.Node) bool {
	return root.Field("attributes") != nil && root.Field("compatibilities") == nil
}

func compspecAttributes(root *document.Node) []Scope {
	if isCompatLib(root) {
		return []Scope{{Groups: []Group{groupOf("llnl.compatlib", root.Field("attributes"))}}}
	}
	var s Scope
	for _, entry := range root.Field("compatibilities").Members() {
		s.Groups = append(s.Groups, compspecGroups(entry)...)
	}
	return []Scope{s}
}

func compspecGroups(entry *document.Node) []Group {
	var groups []Group
	for key, value := range entry.Pairs {
		if (key.Value == "attributes" || key.Value == "annotations") && !value.IsNull() {
			groups = append(groups, groupOf(entry.Field("name").Text(), value))
		}
	}
	return groups
}

func checkCompspec(root *document.Node) error {
	if isCompatLib(root) {
		if err := cmp.Or(root.OnlyKeys("the document", "version", "attributes"), root.TextKeys("version")); err != nil {
			return err
		}
		return compspecAttributes(root)[0].Groups[0].check()
	}
	if err := root.OnlyKeys("the document", "version", "kind", "metadata", "compatibilities", "annotations"); err != nil {
		return err
	}
	if kind := root.Field("kind"); kind != nil && kind.Value != "CompatibilitySpec" {
		return kind.Errorf(`kind is %s, not "CompatibilitySpec"`, kind.Describe())
	}
	err := cmp.Or(
		root.NeedKeys("kind", "compatibilities"), root.TextKeys("version"),
		root.Field("metadata").AsMapping("metadata"), root.Field("annotations").AsMapping("annotations"),
	)
	if err != nil {
		return err
	}
	entries, err := root.Field("compatibilities").AsList("compatibilities")
	for _, entry := range entries {
		if err == nil {
			err = checkCompspecEntry(entry)
		}
	}
	return err
}

// checkCompspecEntry looks at one compatibility interest group.
func checkCompspecEntry(entry *document.Node) error {
	err := entry.OnlyKeys("a compatibility", "name", "version", "schema", "attributes", "annotations")
	if err := cmp.Or(err, entry.TextKeys("name", "version", "schema")); err != nil {
		return err
	}
	groups := compspecGroups(entry)
	if entry.Field("name").Text() == "" || len(groups) == 0 {
		return entry.Errorf("a compatibility needs a name and attributes")
	}
	for _, g := range groups {
		if err := g.check(); err != nil {
			return err
		}
	}
	return nil
}
