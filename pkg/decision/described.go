package decision

import (
	"fmt"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// Described is a description of the operator's that applies to a candidate.
type Described struct {
	Origin string            `json:"origin"` // file and row
	Place  description.Place `json:"place"`  // to what the author states
	Source string            `json:"source,omitempty"`
}

// descriptions returns the operator's descriptions of a manifest under a reference.
func (e *evaluation) descriptions(ref string, manifest digest.Digest, claims EntryClaims) []*description.Description {
	if e.Rules.Descriptions.Len() == 0 {
		return nil
	}
	img := description.Image{Digests: []digest.Digest{manifest, claims.Index}}
	if named, err := parse(ref); err == nil {
		img.Repository = named.Name()
		if tagged, ok := named.(reference.Tagged); ok {
			img.Tag = tagged.Tag()
		}
	}
	if p, ok := claims.platform(); ok {
		img.Platform = index.PlatformName(&p)
	}
	if claims.Base != nil {
		img.Base = *claims.Base
	}
	return e.Rules.Descriptions.Of(img)
}

// described returns what the operator and the author of an image require together. Of
// what both speak of, the one that goes first counts.
func (e *evaluation) described(found []*description.Description, bodies []attachedBody) []compat.Requirement {
	var before, after []compat.Requirement
	for _, d := range found {
		own := e.answered(compat.Clone(d.Requirements))
		if d.Place == description.After {
			after = append(after, own...)
		} else {
			before = append(before, own...)
		}
	}
	reqs := slices.Concat(before, unspoken(before, e.ofAuthor(bodies)))
	return append(reqs, unspoken(reqs, after)...)
}

// isReplaced reports whether the author's artifacts do not count.
func isReplaced(found []*description.Description) bool {
	return slices.ContainsFunc(found, func(d *description.Description) bool { return d.Place == description.Instead })
}

// attachedBody is the body of an artifact, and the base image that it is attached to,
// where that is not the image itself.
type attachedBody struct {
	*body
	base string
}

// ofAuthor returns what the artifacts of an image require, and those of its base image as
// far as the image does not speak of the same facts itself.
func (e *evaluation) ofAuthor(bodies []attachedBody) []compat.Requirement {
	var own, inherited []compat.Requirement
	for _, b := range bodies {
		reqs := e.requirementsOf(b.body)
		if b.base == "" {
			own = append(own, reqs...)
			continue
		}
		compat.Walk(reqs, func(r *compat.Requirement) { r.Origin = "base image " + b.base })
		inherited = append(inherited, reqs...)
	}
	replaced := slices.DeleteFunc(slices.Clone(own), func(r compat.Requirement) bool {
		topics, _ := topicsOf(&r) // the programs of the base image are still there
		return slices.Contains(topics, cpuTarget)
	})
	own = append(own, unspoken(replaced, inherited)...)
	if len(bodies) > 1 {
		return distinct(own)
	}
	return own
}

// distinct leaves out conditions that another artifact states as well: asked for twice,
// they would make a variant look better than one that asks for them once.
func distinct(reqs []compat.Requirement) []compat.Requirement {
	seen := map[string]bool{}
	return slices.DeleteFunc(reqs, func(r compat.Requirement) bool {
		if r.Combine != compat.Leaf || r.Not || r.Unclear != "" || r.Name != nil {
			return false
		}
		key := fmt.Sprintf("%d %d %s", r.Importance, r.Weight, condition(&r))
		known := seen[key] && len(r.Terms) == 1 && len(r.Terms[0].Values) <= maxConditionValues
		seen[key] = true
		return known
	})
}

// describedBy lists the descriptions for people.
func describedBy(found []*description.Description) []Described {
	var all []Described
	for _, d := range found {
		all = append(all, Described{Origin: d.Origin(), Place: d.Place, Source: d.Source})
	}
	return all
}

// cpuTarget is the set of the CPU targets that a node runs.
const cpuTarget = "cpu.archspec"

// unspoken returns the requirements of which the first ones do not speak.
func unspoken(first, then []compat.Requirement) []compat.Requirement {
	if len(first) == 0 {
		return then
	}
	var spoken []string
	for i := range first {
		topics, _ := topicsOf(&first[i])
		spoken = append(spoken, topics...)
	}
	return slices.DeleteFunc(slices.Clone(then), func(r compat.Requirement) bool {
		topics, plain := topicsOf(&r)
		return plain && len(topics) > 0 && !slices.ContainsFunc(topics, func(topic string) bool { return !slices.Contains(spoken, topic) })
	})
}

// topicsOf lists the facts that a requirement is about. It reports false where
// alternatives make it about none of them alone.
func topicsOf(r *compat.Requirement) (topics []string, plain bool) {
	switch {
	case r.Unclear != "", r.Not, r.Name != nil, r.Combine != compat.Leaf && r.Combine != compat.AllOf:
		return nil, false
	case r.Combine == compat.AllOf:
		for i := range r.Parts {
			inner, ok := topicsOf(&r.Parts[i])
			if !ok {
				return nil, false
			}
			topics = append(topics, inner...)
		}
		return topics, true
	case slices.Contains([]string{cpuTarget, "kernel.version", "system.libc"}, r.Set): // one thing, with several elements
		return []string{r.Set}, true
	}
	for _, t := range r.Terms {
		topics = append(topics, r.Set+" "+t.Element)
	}
	return topics, true
}
