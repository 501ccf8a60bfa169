package author

import "strings"

// nearest returns the name that is spelt most alike: of names of the same
// distance the first. It reports false where none is near.
func nearest(name string, known []string) (string, bool) {
	best, bestDistance := "", 1+max(1, min(3, len(name)/4))
	for _, k := range known {
		if k == name {
			continue
		}
		if strings.EqualFold(k, name) {
			return k, true
		}
		if d := distance(strings.ToLower(name), strings.ToLower(k), bestDistance); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best, best != ""
}

// distance counts the letters that must be put in, left out, replaced or
// exchanged with their neighbour; limit stands for anything from limit on.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 256 {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}

// didYouMean says which name may be meant.
func didYouMean(name string, known []string) string {
	if near, ok := nearest(name, known); ok {
		return near
	}
	return ""
}
