// Package description reads what an operator states about the images of others, in
// files of /etc/imagefit/images.d, and finds what applies to an image.
package description

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/compat"
)

// Place is where a description stands to what the author of an image states.
type Place string

// The places. Where both speak of the same fact, the one that goes first counts.
const (
	After   Place = "after"   // the author goes first
	Before  Place = "before"  // the operator goes first
	Instead Place = "instead" // the author's artifacts do not count
)

// Description is one [[image]] of a file.
type Description struct {
	File         string // with its folder
	Row          int
	Source       string // where its facts come from
	Place        Place
	Requirements []compat.Requirement

	about about
	texts []Text
}

// Text is a body of a description, and where it is in its file.
type Text struct {
	Row   int // of its first line
	Body  []byte
	Short bool // made of a property that stands in that row
}

// Texts returns the bodies, for those who look for mistakes in them.
func (d *Description) Texts() []Text { return d.texts }

// Origin names the description, as people find it.
func (d *Description) Origin() string { return fmt.Sprintf("%s:%d", d.File, d.Row) }

// Base is the image that another one is built on, as its manifest states it.
type Base struct {
	Name   string        `json:"name,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
}

// Image is what a description may be about.
type Image struct {
	Repository string          // as the runtime normalises it
	Tag        string          // "" where the reference has none
	Digests    []digest.Digest // of its index and its manifest
	Platform   string          // such as linux/amd64/v3
	Base       Base
}

// Set has the descriptions of all files. The zero value has none.
type Set struct{ all []*Description }

// NewSet returns the descriptions in the order of their files.
func NewSet(all []*Description) *Set { return &Set{all: all} }

// Len returns how many descriptions there are.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.all)
}

// NeedsBase reports whether it takes the base image to tell what applies to a
// repository.
func (s *Set) NeedsBase(repository string) bool {
	if s == nil {
		return false
	}
	for _, d := range s.all {
		if len(d.about.bases) > 0 && d.about.repositories.matches(repository) {
			return true
		}
	}
	return false
}

// Of returns the descriptions of an image, in the order of their files.
func (s *Set) Of(img Image) []*Description {
	if s == nil {
		return nil
	}
	var found []*Description
	for _, d := range s.all {
		if d.about.applies(img) {
			found = append(found, d)
		}
	}
	return found
}
