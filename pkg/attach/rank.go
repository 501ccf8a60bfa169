package attach

import (
	"cmp"
	"slices"
	"strings"
	"time"

	digest "github.com/opencontainers/go-digest"
)

// rank puts the newest first and marks what counts, as a pull sees it: of each
// type the newest artifact; of those of one time, or without one, the digest
// decides. One that nothing can be read of counts while nothing newer can.
func rank(artifacts []Artifact) {
	slices.SortStableFunc(artifacts, func(a, b Artifact) int {
		return cmp.Or(b.time().Compare(a.time()), strings.Compare(string(b.Digest), string(a.Digest)))
	})
	counting := map[Type]digest.Digest{}
	for i := range artifacts {
		a := &artifacts[i]
		if _, ok := counting[a.kind()]; !ok {
			counting[a.kind()] = a.Digest
		}
		a.Counts = counting[a.kind()] == a.Digest // an artifact may have several bodies of one type
		if a.LayerType == "" && a.Created != nil {
			a.Counts = a.Counts && !slices.ContainsFunc(artifacts[:i], func(b Artifact) bool {
				return b.LayerType != "" && b.time().After(*a.Created)
			})
		}
	}
}

func (a Artifact) time() time.Time {
	if a.Created == nil {
		return time.Time{}
	}
	return *a.Created
}

// Type is what tells artifacts apart of which only the newest counts.
type Type struct{ Artifact, Layer string }

// kind is the type; what nothing can be read of is of none.
func (a Artifact) kind() Type {
	if a.LayerType == "" {
		return Type{}
	}
	return Type{a.ArtifactType, a.LayerType}
}
