package nodeclass

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/imagefit/imagefit/pkg/facts"
)

// Label is the label of a Kubernetes node that has the ID of its class as its value.
const Label = "imagefit.dev/class"

// Class is a class of nodes.
type Class struct {
	ID    string // 12 hexadecimal digits, equal for equal facts
	Facts *facts.Facts
}

// Of returns the class of a node.
func Of(f *facts.Facts, d Dimensions) Class {
	projected := Project(f, d)
	return Class{ID: idOf(projected), Facts: projected}
}

// idOf returns the digest of what is known. Causes are left out: they are for people.
func idOf(projected *facts.Facts) string {
	const digits = 12
	features := projected.Features()
	content, err := json.Marshal(struct {
		OS, Arch      string
		Flags, Absent map[string][]string
		Attributes    map[string]map[string]string
		Instances     map[string][]map[string]string
		Unknown       []string
	}{
		projected.OS(), projected.Arch(), features.Flags, features.Absent, features.Attributes, features.Instances,
		slices.Sorted(maps.Keys(features.Unknown)),
	})
	if err != nil { // cannot happen: there are only strings, lists and maps of strings
		content = fmt.Appendf(nil, "%v", err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))[:digits]
}

// file is a class as JSON.
type file struct {
	Class string          `json:"class"`
	Facts json.RawMessage `json:"facts"`
}

// MarshalJSON writes the class with its facts.
func (c Class) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(c.Facts)
	if err != nil {
		return nil, err
	}
	return json.Marshal(file{c.ID, text})
}

// UnmarshalJSON reads what MarshalJSON wrote. A class whose ID is not that of its facts is
// an error.
func (c *Class) UnmarshalJSON(text []byte) error {
	var read file
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	doc, err := facts.Decode(bytes.NewReader(read.Facts))
	if err != nil {
		return fmt.Errorf("read node class %.64q: %w", read.Class, err)
	}
	c.Facts = facts.New(doc.OS, doc.Arch, doc.Features)
	if c.ID = idOf(c.Facts); c.ID != read.Class {
		return fmt.Errorf("read node class %.64q: its facts are those of class %s", read.Class, c.ID)
	}
	return nil
}
