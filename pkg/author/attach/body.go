package attach

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/selector"
)

// maxTitle bounds the name of a file that goes into a manifest.
const maxTitle = 255

// Body is a file that was read as its dialect, with the types that it is pushed
// under.
type Body struct {
	Dialect      dialect.Dialect
	ArtifactType string
	LayerType    string
	Title        string // name of the file, for people who fetch it again
	Bytes        []byte
	Requirements []compat.Requirement
}

// NewBody parses a file by its dialect and names its types. layerType is one of
// those that the dialect has, or empty for the usual one. What readers would
// take for another dialect under these types is an error.
func NewBody(title string, text []byte, d dialect.Dialect, layerType string, in *spec.Interpreter) (Body, error) {
	requirements, err := d.Parse(in, text)
	if err != nil {
		return Body{}, fmt.Errorf("read as %s: %w", d.Name, err)
	}
	artifactType, usual := d.ArtifactTypes[0], d.LayerTypes
	switch {
	case layerType == "":
		layerType = usual[0]
	case slices.Contains(usual, layerType):
	case len(usual) == 1:
		return Body{}, fmt.Errorf("layer type %q is not %s, which %s has", layerType, usual[0], d.Name)
	default:
		return Body{}, fmt.Errorf("layer type %q is not one of %s, which %s has", layerType, strings.Join(usual, ", "), d.Name)
	}
	if read, ok := dialect.Detect(artifactType, layerType, text); !ok || read.Name != d.Name {
		return Body{}, fmt.Errorf("pushed as %s in a layer of %s it would be read as %s, not as %s",
			artifactType, layerType, cmp.Or(read.Name, "nothing"), d.Name)
	}
	if problem := selector.BodyProblem(len(text), requirements); problem != "" {
		return Body{}, fmt.Errorf("nodes would not evaluate it: %s", problem)
	}
	return Body{
		Dialect: d, ArtifactType: artifactType, LayerType: layerType,
		Title: title[:min(len(title), maxTitle)], Bytes: text, Requirements: requirements,
	}, nil
}

// Kind tells it apart from artifacts that apply beside it.
func (b Body) Kind() referrers.Kind {
	return referrers.Kind{Artifact: b.ArtifactType, Layer: b.LayerType}
}

// Unclear names the requirements that no fact can decide, each with the reason.
func (b Body) Unclear() []string {
	var unclear []string
	compat.Walk(b.Requirements, func(r *compat.Requirement) {
		if r.Unclear != "" {
			unclear = append(unclear, clean(r.Key+": "+r.Unclear))
		}
	})
	return unclear
}
