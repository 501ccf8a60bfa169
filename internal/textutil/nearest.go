package textutil

import "strings"

// longestName bounds what is compared: longer names are not typed by people.
const longestName = 100

// Nearest returns the known name that was probably meant by a misspelt one, or
// "". Of names that are as near as each other it is the first.
func Nearest(name string, known []string) string {
	near, least := "", 1+max(1, min(3, len(name)/4))
	if len(name) > longestName {
		return ""
	}
	for _, k := range known {
		switch {
		case k == name:
		case strings.EqualFold(k, name):
			return k
		default:
			if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
				near, least = k, d
			}
		}
	}
	return near
}

// distance counts the bytes to insert, remove, replace or exchange with their
// neighbour that turn a into b.
func distance(a, b string) int {
	if len(b) > longestName+3 {
		return len(b)
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
