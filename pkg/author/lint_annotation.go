package author

import (
	"strings"
	"time"
)

// createdKey tells when an artifact was made: the newest of several counts.
const createdKey = "org.opencontainers.image.created"

// annotations looks for the key that is misspelt in many documents, in the
// annotations anywhere in a manifest. In a body annotations are only notes.
func (r *run) annotations(n *node, manifest bool) {
	for i, key := range n.keys {
		if key.value == "annotations" {
			r.annotated(n.values[i], manifest)
		}
	}
	for _, value := range n.values {
		r.annotations(value, manifest)
	}
}

func (r *run) annotated(annotations *node, manifest bool) {
	for i, key := range annotations.keys {
		value := annotations.values[i]
		switch {
		case key.value == createdKey:
			if _, err := time.Parse(time.RFC3339, value.text()); err != nil && manifest {
				r.at(value, codeBadValue).say(key.value, quoted(value.text())+" is no time", "one such as 2026-01-31T12:00:00Z (RFC 3339)")
			}
		case isMisspeltCreated(key.value):
			report := r.at(key, codeAnnotation)
			if !manifest {
				report.as(Warning)
			}
			if annotations.key(createdKey) == nil {
				report.fixed(createdKey)
			}
			report.say(key.value, "the annotation "+quoted(key.value)+" is misspelt", createdKey)
		}
	}
}

func isMisspeltCreated(key string) bool {
	return strings.HasSuffix(key, ".image.created") && distance(key, createdKey, 5) < 5
}
