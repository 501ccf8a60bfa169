package page

import (
	"cmp"
	"slices"
	"strings"
)

const (
	// maxMost bounds the requirements that are listed as failing most.
	maxMost = 10
	// maxWhy bounds the reasons in a row of the summary.
	maxWhy = 3
)

// rowSummary is one row of a matrix in words, for readers without a script and for paper.
type rowSummary struct {
	Name                          string
	Fits, Unknown, Unfit, Changed int
	Variants                      string
	Why                           string
}

// failingSummary is how often one requirement is not met.
type failingSummary struct {
	Want          string
	Rows, Columns int
}

// weights returns how many columns each different column is.
func (d *interned) weights() []int {
	weights := make([]int, len(d.Grid))
	for _, n := range d.Of {
		weights[n]++
	}
	return weights
}

func (d *interned) summarize() []rowSummary {
	weights := d.weights()
	rows := make([]rowSummary, len(d.Rows))
	for r, name := range d.Rows {
		s := rowSummary{Name: name}
		variants, why := map[string]int{}, map[string]int{}
		for g, column := range d.Grid {
			c, weight := &d.distinct[column[r]], weights[g]
			switch c.Verdict {
			case Fits:
				s.Fits += weight
			case Unknown:
				s.Unknown += weight
			case Unfit:
				s.Unfit += weight
			}
			if c.changed() {
				s.Changed += weight
			}
			if c.Variant != "" {
				variants[c.Variant] += weight
			}
			for _, f := range c.Failing {
				why[f.Want+" ("+f.Have+")"] += weight
			}
			if len(c.Failing) == 0 && c.Reason != "" && c.Verdict != Fits {
				why[c.Reason] += weight
			}
		}
		s.Variants, s.Why = strings.Join(most(variants, maxWhy), ", "), strings.Join(most(why, maxWhy), "; ")
		rows[r] = s
	}
	return rows
}

// mostFailing lists the requirements that are not met in most places.
func (d *interned) mostFailing() []failingSummary {
	weights := d.weights()
	rows, columns := map[string]map[int]bool{}, map[string]map[int]bool{}
	for g, column := range d.Grid {
		for r, n := range column {
			for _, f := range d.distinct[n].Failing {
				if rows[f.Want] == nil {
					rows[f.Want], columns[f.Want] = map[int]bool{}, map[int]bool{}
				}
				rows[f.Want][r], columns[f.Want][g] = true, true
			}
		}
	}
	var all []failingSummary
	for want := range rows {
		s := failingSummary{Want: want, Rows: len(rows[want])}
		for g := range columns[want] {
			s.Columns += weights[g]
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b failingSummary) int {
		return cmp.Or(b.Rows*b.Columns-a.Rows*a.Columns, strings.Compare(a.Want, b.Want))
	})
	return all[:min(len(all), maxMost)]
}

// most returns the keys with the largest numbers, in that order.
func most(counts map[string]int, limit int) []string {
	keys := make([]string, 0, len(counts))
	for key := range counts {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	return keys[:min(len(keys), limit)]
}
