package compat

import (
	"bytes"
	"slices"
)

// Dialect is one form in which an image can say what it needs.
type Dialect struct {
	// Name is what users call it, such as "proposal-f".
	Name string
	// ArtifactTypes are the types of the artifact's manifest.
	ArtifactTypes []string
	// LayerTypes are the media types of the layer that holds the body; with
	// none, any layer of such an artifact will do.
	LayerTypes []string
	// Claims, if not nil, tells by its shape whether a body is of this dialect,
	// where another dialect has the same types. It need not be valid.
	Claims func(body []byte) bool
	// Parse returns what the body asks for. A body that is not of the dialect
	// is an error with row and column; nothing is half read.
	Parse func(in *Interpreter, body []byte) ([]Requirement, error)
}

// Dialects returns all dialects, always in the same order: of those that share
// their types, the one that claims only what it knows stands before the one
// that takes the rest.
func Dialects() []Dialect {
	return []Dialect{
		ocifitDialect(),
		nfdDialect(),
		compspecDialect(),
		graphDialect(),
		flatDialect(),
		bodyDialect(),
		outlineDialect(),
	}
}

// DialectOf returns the dialect of a body under the types it was pushed with.
// Where no dialect of those types claims the body, it is the last of them:
// its error says what is wrong.
func DialectOf(artifactType, layerType string, body []byte) (Dialect, bool) {
	var last Dialect
	found := false
	for _, d := range Dialects() {
		if !d.hasTypes(artifactType, layerType) {
			continue
		}
		if d.Claims == nil || d.Claims(body) {
			return d, true
		}
		last, found = d, true
	}
	return last, found
}

// DialectByShape returns the dialect of a body of which nobody says the types,
// such as a file that is not pushed yet. For a body that is of none it is the
// one whose error helps most.
func DialectByShape(body []byte) Dialect {
	if bytes.Contains(body, []byte(`"CompatibilitySpec"`)) {
		return compspecDialect() // says its kind itself
	}
	var readers []Dialect
	for _, d := range Dialects() {
		if d.Claims == nil {
			readers = append(readers, d)
		} else if d.Claims(body) {
			return d
		}
	}
	in := NewInterpreter(nil)
	for _, d := range readers {
		if _, err := d.Parse(in, body); err == nil {
			return d
		}
	}
	if bytes.Contains(body, []byte("rules")) {
		return nfdDialect()
	}
	return outlineDialect()
}

// IsArtifactType reports whether an artifact of this type says what an image
// needs.
func IsArtifactType(artifactType string) bool {
	return slices.ContainsFunc(Dialects(), func(d Dialect) bool {
		return slices.Contains(d.ArtifactTypes, artifactType)
	})
}

func (d Dialect) hasTypes(artifactType, layerType string) bool {
	return slices.Contains(d.ArtifactTypes, artifactType) &&
		(len(d.LayerTypes) == 0 || slices.Contains(d.LayerTypes, layerType))
}

// outlineDialect is Proposal F, both revisions.
func outlineDialect() Dialect {
	return Dialect{
		Name:          "proposal-f",
		ArtifactTypes: []string{ArtifactType},
		LayerTypes:    []string{LayerTypeOutline, LayerTypeOutlineNFD},
		Parse: func(in *Interpreter, body []byte) ([]Requirement, error) {
			attributes, err := ParseOutline(body)
			if err != nil {
				return nil, err
			}
			return in.Requirements(attributes), nil
		},
	}
}
