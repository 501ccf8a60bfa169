package tomlerr

import "strings"

// nearestKey looks for a key among the known ones, in which a * stands for any
// part.
func nearestKey(parts, known []string) string {
	fitted := make([]string, 0, len(known))
	for _, k := range known {
		names := strings.Split(k, ".")
		for i, name := range names {
			if name == "*" && i < len(parts) {
				names[i] = Key(parts[i : i+1])
			}
		}
		fitted = append(fitted, strings.Join(names, "."))
	}
	return Nearest(Key(parts), fitted)
}

// Nearest returns the known key that is written almost like key, or "".
func Nearest(key string, known []string) string {
	const longest = 100 // of what is worth a comparison
	best, near := 3, ""
	if len(key) > longest {
		return ""
	}
	for _, k := range known {
		if d := distance(key, k); d < best {
			best, near = d, k
		}
	}
	return near
}

// distance counts the bytes to insert, remove or replace that turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
