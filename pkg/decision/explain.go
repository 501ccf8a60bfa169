package decision

import (
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
	words := make([]RequirementResult, 0, min(len(v.Checks), maxRequirements))
	for i := range v.Checks {
		words = appendResults(words, &v.Checks[i], 0, compat.AllOf)
	}
	return words
}

func appendResults(words []RequirementResult, c *selector.Check, depth int, in compat.Combine) []RequirementResult {
	req := c.Requirement
	if len(words) == maxRequirements {
		return words
	}
	if in == compat.AllOf && req.Combine == compat.AllOf && !req.Not && len(c.Parts) > 0 {
		for i := range c.Parts {
			words = appendResults(words, &c.Parts[i], depth, compat.AllOf)
		}
		return words
	}
	row := RequirementResult{
		Want: textutil.Line(req.Want(), maxWords), Have: textutil.Line(c.Have(), maxWords),
		Outcome: c.Outcome, Importance: req.Importance.String(), Depth: depth,
	}
	if len(c.Parts) > 0 {
		row.Want = textutil.Line(combination(req), maxWords)
	}
	words = append(words, row)
	for i := range c.Parts {
		words = appendResults(words, &c.Parts[i], depth+1, req.Combine)
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
