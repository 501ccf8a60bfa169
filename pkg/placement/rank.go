package placement

import (
	"cmp"
	"slices"

	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/selector"
)

// rank gives the classes that are not unfit their ranks. compare is negative where the
// first class is the better one.
func rank(verdicts []Verdict, compare func(a, b int) int) {
	var order []int
	for i := range verdicts {
		if verdicts[i].Outcome != selector.Unfit {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, compare)
	for at, i := range order {
		switch {
		case at == 0:
			verdicts[i].Rank = 1
		case compare(order[at-1], i) == 0:
			verdicts[i].Rank = verdicts[order[at-1]].Rank
		default:
			verdicts[i].Rank = verdicts[order[at-1]].Rank + 1
		}
	}
}

// rankChoices ranks the choices on classes. The CPU that a variant was built for and how
// much it requires compare within an architecture only: an image for two of them is not
// to prefer one. So what authors state comes first, then the place within the
// architecture.
func rankChoices(verdicts []Verdict, quality []selector.Candidate, classes []nodeclass.Class) {
	stated := func(i int) selector.Candidate {
		v := quality[i].Verdict
		return selector.Candidate{Verdict: selector.Verdict{Outcome: v.Outcome, Score: v.Score}, Priorities: quality[i].Priorities}
	}
	order := make([]int, len(verdicts))
	for i := range order {
		order[i] = i
	}
	sameKind := func(a, b int) int {
		return cmp.Or(selector.Compare(stated(a), stated(b)), cmp.Compare(classes[a].Facts.Arch(), classes[b].Facts.Arch()))
	}
	better := func(a, b int) int { return cmp.Or(sameKind(a, b), selector.Compare(quality[a], quality[b])) }
	slices.SortFunc(order, better)
	place := make([]int, len(verdicts))
	for at, i := range order {
		if at == 0 || sameKind(order[at-1], i) != 0 {
			continue
		}
		place[i] = place[order[at-1]]
		if better(order[at-1], i) != 0 {
			place[i]++
		}
	}
	rank(verdicts, func(a, b int) int {
		return cmp.Or(selector.Compare(stated(a), stated(b)), cmp.Compare(place[a], place[b]))
	})
}
