package inspect

import (
	"path"
	"strings"
)

// Marks in a layer that remove what is below.
const (
	whiteout     = ".wh."
	opaqueMarker = ".wh..wh..opq"
)

// shadow is what the layers above hide.
type shadow struct {
	files  map[string]bool // there, or removed with all that is below
	opaque map[string]bool // directories of which nothing below is seen
}

func newShadow() *shadow { return &shadow{map[string]bool{}, map[string]bool{}} }

// whiteout takes a mark that removes something of the layers below.
func (s *shadow) whiteout(name string) bool {
	dir, base := path.Split(name)
	if base == opaqueMarker {
		s.opaque[strings.TrimSuffix(dir, "/")] = true
		return true
	}
	removed, ok := strings.CutPrefix(base, whiteout)
	if ok {
		s.files[dir+removed] = true
	}
	return ok
}

func (s *shadow) hides(name string) bool {
	if s.files[name] {
		return true
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if dir == "." {
			return s.opaque[""]
		}
		if s.files[dir] || s.opaque[dir] {
			return true
		}
	}
}
