package decision

import (
	"slices"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/selector"
)

// maxRequirements and maxWords bound the words that a candidate is explained in.
const (
	maxRequirements = 64
	maxWords        = 160
)

// results puts a verdict into words, one row for each condition. Conditions that must
// all hold are rows of their own; of those combined in another way the parts follow
// below, one level deeper.
func results(v selector.Verdict) []RequirementResult {
	return appendResults(make([]RequirementResult, 0, min(len(v.Checks), maxRequirements)), v.Checks, 0, compat.AllOf)
}

func appendResults(words []RequirementResult, checks []selector.Check, depth int, in compat.Combine) []RequirementResult {
	for i := range checks {
		c := &checks[i]
		req, want := c.Requirement, c.Requirement.Want()
		switch {
		case len(words) == maxRequirements:
			return words
		case in == compat.AllOf && req.Combine == compat.AllOf && !req.Not && len(c.Parts) > 0:
			words = appendResults(words, c.Parts, depth, compat.AllOf)
			continue
		case len(c.Parts) > 0:
			want = combination(req)
		}
		result := RequirementResult{
			Want: textutil.Line(want, maxWords), Have: textutil.Line(c.Have(), maxWords),
			Outcome: c.Outcome, Importance: req.Importance.String(), Origin: req.Origin, Depth: depth,
		}
		if len(c.Parts) == 0 && depth == 0 && slices.Contains(words, result) {
			continue // two artifacts ask for the same
		}
		words = append(words, result)
		words = appendResults(words, c.Parts, depth+1, req.Combine)
	}
	return words
}

func combination(req *compat.Requirement) string {
	words := map[compat.Combine]string{
		compat.AllOf: "all of", compat.AnyOf: "one of", compat.OneOf: "exactly one of", compat.NoneOf: "none of",
	}[req.Combine]
	if req.Not {
		words = "not " + words
	}
	if req.Title != "" {
		words += " (" + req.Title + ")"
	}
	return words + ":"
}
