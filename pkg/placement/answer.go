package placement

import (
	"cmp"
	"slices"

	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Token is the name of a class where schedulers know words only: a feature of Slurm, a
// property of Flux.
func Token(id string) string { return TokenPrefix + id }

const (
	// TokenPrefix begins the token of every class.
	TokenPrefix = "imagefit_"
	// NoClass is the token that no node has: the constraint of what fits nowhere. An
	// empty one would fit everywhere.
	NoClass = TokenPrefix + "none"
)

// Answer is where the images of a job can run.
type Answer struct {
	Usable []string // IDs of the classes for which nothing is known against it, the best first
	Best   []string // those of the first rank
	Unfit  []string // the others, sorted
}

// AnswerOf sums up the verdicts on classes. What is unknown is usable unless strict: no
// node is excluded but on knowledge.
func AnswerOf(verdicts []Verdict, classes []nodeclass.Class, strict bool) Answer {
	var a Answer
	order := make([]int, len(verdicts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int {
		return cmp.Or(cmp.Compare(verdicts[x].Rank, verdicts[y].Rank), cmp.Compare(classes[x].ID, classes[y].ID))
	})
	for _, i := range order {
		v, id := verdicts[i], classes[i].ID
		if v.Outcome == selector.Unfit || strict && v.Outcome == selector.Unknown {
			a.Unfit = append(a.Unfit, id)
			continue
		}
		a.Usable = append(a.Usable, id)
		if v.Rank == 1 {
			a.Best = append(a.Best, id)
		}
	}
	return a
}

// Outcome is that of the best class.
func Outcome(verdicts []Verdict) selector.Outcome {
	best := selector.Unfit
	for _, v := range verdicts {
		switch v.Outcome {
		case selector.Fits:
			return selector.Fits
		case selector.Unknown:
			best = selector.Unknown
		}
	}
	return best
}
