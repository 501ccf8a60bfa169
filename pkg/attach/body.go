package attach

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// maxTitle bounds the name of a file that goes into a manifest.
const maxTitle = 255

// Body is a file that was held against its dialect, with the types that it is
// pushed under.
type Body struct {
	Dialect      compat.Dialect
	ArtifactType string
	LayerType    string
	Title        string // name of the file, for people who fetch it again
	Bytes        []byte
	Requirements []compat.Requirement
}

// NewBody parses a file by its dialect and names its types. layerType is one of
// those that the dialect has, or empty for the usual one. What readers would
// take for another dialect under these types is an error.
func NewBody(title string, text []byte, dialect compat.Dialect, layerType string, in *compat.Interpreter) (Body, error) {
	requirements, err := dialect.Parse(in, text)
	if err != nil {
		return Body{}, fmt.Errorf("read as %s: %w", dialect.Name, err)
	}
	artifactType, usual, err := typesOf(dialect)
	if err != nil {
		return Body{}, err
	}
	switch {
	case layerType == "":
		layerType = usual
	case layerType == usual || slices.Contains(dialect.LayerTypes, layerType):
	case len(dialect.LayerTypes) == 0:
		return Body{}, fmt.Errorf("layer type %q is not %s, which %s has", layerType, usual, dialect.Name)
	default:
		return Body{}, fmt.Errorf("layer type %q is none of %s, which %s has",
			layerType, strings.Join(dialect.LayerTypes, ", "), dialect.Name)
	}
	if read, ok := compat.DialectOf(artifactType, layerType, text); !ok || read.Name != dialect.Name {
		return Body{}, fmt.Errorf("pushed as %s in a layer of %s it would be read as %s, not as %s",
			artifactType, layerType, orNothing(read.Name), dialect.Name)
	}
	return Body{
		Dialect: dialect, ArtifactType: artifactType, LayerType: layerType,
		Title: title[:min(len(title), maxTitle)], Bytes: text, Requirements: requirements,
	}, nil
}

func orNothing(name string) string {
	if name == "" {
		return "nothing"
	}
	return name
}

// typesOf returns the types that a dialect is usually pushed under: the first of
// each. Where readers take any layer, NFD's is the one that its own client
// writes, and compspec's is the type of the artifact.
func typesOf(d compat.Dialect) (artifactType, layerType string, err error) {
	if len(d.ArtifactTypes) == 0 {
		return "", "", errors.New(d.Name + " is no artifact that can be attached")
	}
	artifactType = d.ArtifactTypes[0]
	switch {
	case len(d.LayerTypes) > 0:
		layerType = d.LayerTypes[0]
	case artifactType == compat.ArtifactTypeNFD:
		layerType = compat.LayerTypeNFD
	default:
		layerType = artifactType
	}
	return artifactType, layerType, nil
}

// Type is what tells it apart from artifacts that count besides it.
func (b Body) Type() Type { return Type{b.ArtifactType, b.LayerType} }

// Unclear names the requirements whose meaning nobody here knows, each with the
// reason.
func (b Body) Unclear() []string {
	var unclear []string
	var walk func(reqs []compat.Requirement)
	walk = func(reqs []compat.Requirement) {
		for _, r := range reqs {
			if r.Unclear != "" {
				unclear = append(unclear, clean(r.Key+": "+r.Unclear))
			}
			walk(r.Parts)
		}
	}
	walk(b.Requirements)
	return unclear
}
