package lint

import (
	"strings"
	"time"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/document"
)

// createdKey is the time of an artifact: of several only the newest applies.
const createdKey = "org.opencontainers.image.created"

// annotations looks for the key that is misspelt in many documents, in the
// annotations anywhere in a manifest. In a body annotations are only notes.
func (r *run) annotations(n *document.Node, manifest bool) {
	annotations := n.Lookup("annotations")
	for key, value := range annotations.Pairs {
		isMisspelt := strings.HasSuffix(key.Value, ".image.created") &&
			textutil.Nearest(key.Value, []string{createdKey}) != ""
		switch {
		case key.Value == createdKey:
			if _, err := time.Parse(time.RFC3339, value.Text()); err != nil && manifest {
				r.at(value, codeBadValue).say(key.Value, textutil.Quote(value.Text())+" is not a time", "one such as 2026-01-31T12:00:00Z (RFC 3339)")
			}
		case isMisspelt:
			report := r.at(key, codeAnnotation)
			if !manifest {
				report.as(Warning)
			}
			if annotations.Key(createdKey) == nil {
				report.fixed(createdKey)
			}
			report.say(key.Value, "the annotation "+textutil.Quote(key.Value)+" is misspelt", createdKey)
		}
	}
	for _, value := range n.Values {
		r.annotations(value, manifest)
	}
}
