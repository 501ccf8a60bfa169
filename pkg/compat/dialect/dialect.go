package dialect

import (
	"bytes"
	"slices"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// Dialect is one form in which an image can say what it needs.
type Dialect struct {
	// Name is what users call it, such as "proposal-f".
	Name string
	// ArtifactTypes are the types of the artifact's manifest; new artifacts get
	// the first.
	ArtifactTypes []string
	// LayerTypes are the media types of the layer that holds the body; new
	// artifacts get the first.
	LayerTypes []string
	// AnyLayer says that readers take layers of any type.
	AnyLayer bool
	// YAML says that a body may be YAML as well as JSON.
	YAML bool
	// Matches tells by its shape whether a document is of this dialect. It need
	// not be valid.
	Matches func(root *document.Node) bool
	// Requirements returns what a document asks for. One that is not of the
	// dialect is an error with row and column; nothing is half read.
	Requirements func(in *spec.Interpreter, root *document.Node) ([]compat.Requirement, error)
	// Attributes returns what a document says in attributes, also where it is
	// not valid. It is nil for dialects that speak of features themselves.
	Attributes func(root *document.Node) []Scope
}

// All returns all dialects, always in the same order: of those that match
// the same document, the first is meant.
func All() []Dialect {
	return []Dialect{
		ocifit(),
		compspec(),
		proposalB(),
		nfd(),
		proposalJ(),
		proposalH(),
		proposalF(),
	}
}

// Named returns the dialect of a name.
func Named(name string) (Dialect, bool) {
	all := All()
	i := slices.IndexFunc(all, func(d Dialect) bool { return d.Name == name })
	if i < 0 {
		return Dialect{}, false
	}
	return all[i], true
}

// Read parses a body into a document of this dialect's syntax.
func (d Dialect) Read(body []byte) (*document.Node, error) {
	if d.YAML {
		return document.Parse(body)
	}
	return document.ParseJSON(body)
}

// Parse returns what a body asks for.
func (d Dialect) Parse(in *spec.Interpreter, body []byte) ([]compat.Requirement, error) {
	root, err := d.Read(body)
	if err != nil {
		return nil, err
	}
	return d.Requirements(in, root)
}

// Detect returns the dialect of a body under the types that it was pushed with;
// both are empty for a body without types, such as a file. It reports false
// where no dialect has these types, or a body without types is of no dialect.
//
// Where the body is of none of the dialects of its types, the result is the last
// of them, whose error says what is wrong; so it is without types.
func Detect(artifactType, layerType string, body []byte) (Dialect, bool) {
	d, _, ok := detect(artifactType, layerType, body)
	return d, ok
}

// Requirements returns what a body asks for under the types that it was pushed with. It
// reports false where no dialect has these types.
func Requirements(in *spec.Interpreter, artifactType, layerType string, body []byte) ([]compat.Requirement, bool, error) {
	d, root, ok := detect(artifactType, layerType, body)
	if !ok {
		return nil, false, nil
	}
	var reqs []compat.Requirement
	var err error
	if root != nil {
		reqs, err = d.Requirements(in, root)
	} else {
		reqs, err = d.Parse(in, body)
	}
	return reqs, true, err
}

// detect is Detect, with the document where it is one in the syntax of the dialect.
func detect(artifactType, layerType string, body []byte) (Dialect, *document.Node, bool) {
	root, isJSON, err := document.Read(body)
	hasTypes := artifactType != "" || layerType != ""
	if err == nil && !hasTypes && isRuleObject(root) {
		return nfd(), nil, false
	}
	var last Dialect
	found := false
	for _, d := range All() {
		ofTypes := slices.Contains(d.ArtifactTypes, artifactType) && (d.AnyLayer || slices.Contains(d.LayerTypes, layerType))
		if hasTypes && !ofTypes {
			continue
		}
		if err == nil && d.Matches(root) {
			if !isJSON && !d.YAML {
				root = nil
			}
			return d, root, true
		}
		last, found = d, hasTypes
	}
	start := bytes.TrimLeft(body, " \t\r\n")
	looksJSON := len(start) > 0 && (start[0] == '{' || start[0] == '[')
	if !hasTypes && (!looksJSON || bytes.Contains(body, []byte("rules"))) {
		return nfd(), nil, false
	}
	return last, nil, found
}

// IsArtifactType reports whether an artifact of this type says what an image
// needs.
func IsArtifactType(artifactType string) bool {
	return slices.ContainsFunc(All(), func(d Dialect) bool {
		return slices.Contains(d.ArtifactTypes, artifactType)
	})
}
