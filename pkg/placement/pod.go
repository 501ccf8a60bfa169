package placement

import (
	"cmp"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/selector"
)

// Pod combines the images of a pod, or of a job: a class is unfit if one of them has no
// variant for it, and unknown if that is so of one that is not known to have none. Of the
// others, a class is the better the smaller the sum of its ranks. The rows must be on the
// same classes.
func Pod(rows []Row) []Verdict {
	if len(rows) == 0 {
		return nil
	}
	if len(rows) == 1 {
		return slices.Clone(rows[0].Verdicts)
	}
	all := make([]Verdict, len(rows[0].Verdicts))
	sums := make([]int, len(all))
	for c := range all {
		all[c].Outcome = selector.Fits
		for _, row := range rows {
			all[c].Outcome = worse(all[c].Outcome, row.Verdicts[c].Outcome)
			sums[c] += row.Verdicts[c].Rank
		}
		all[c].Reason = reasonOf(rows, c, all[c].Outcome)
	}
	rank(all, func(a, b int) int {
		return cmp.Or(-cmp.Compare(all[a].Outcome, all[b].Outcome), cmp.Compare(sums[a], sums[b]))
	})
	return all
}

// worse returns the outcome of two together.
func worse(a, b selector.Outcome) selector.Outcome {
	switch {
	case a == selector.Unfit || b == selector.Unfit:
		return selector.Unfit
	case a == selector.Unknown || b == selector.Unknown:
		return selector.Unknown
	default:
		return selector.Fits
	}
}

// reasonOf joins the reasons of the images that decide.
func reasonOf(rows []Row, class int, outcome selector.Outcome) string {
	var reasons []string
	for _, row := range rows {
		if v := row.Verdicts[class]; v.Outcome == outcome && !slices.Contains(reasons, v.Reason) {
			reasons = append(reasons, v.Reason)
		}
	}
	return strings.Join(reasons, "; ")
}
