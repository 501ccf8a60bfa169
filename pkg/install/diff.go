package install

import (
	"fmt"
	"strings"
)

const (
	// diffContext are the lines around a change that are shown.
	diffContext = 3
	// maxDiff bounds the lines of a text that are compared.
	maxDiff = 2000
)

// Diff is the unified diff of two texts, "" where they are equal. A name of "" stands for
// a file that does not exist.
func Diff(from, to, before, after string) string {
	if before == after && (from == "") == (to == "") {
		return ""
	}
	a, b := diffLines(before), diffLines(after)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", diffName(from), diffName(to))
	edits := editsOf(a, b)
	for start := 0; start < len(edits); {
		if edits[start].sign == ' ' {
			start++
			continue
		}
		first, last := max(0, start-diffContext), start
		for i := start; i < len(edits) && i <= last+2*diffContext; i++ {
			if edits[i].sign != ' ' {
				last = i
			}
		}
		end := min(len(edits), last+1+diffContext)
		writeHunk(&out, edits[first:end])
		start = end
	}
	return out.String()
}

func diffName(name string) string {
	if name == "" {
		return "/dev/null"
	}
	return name
}

func diffLines(text string) []string {
	if text == "" {
		return nil
	}
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	last := len(lines) - 1
	if lines[last] += "\n"; !strings.HasSuffix(text, "\n") {
		lines[last] += "\\ No newline at end of file\n"
	}
	if len(lines) > maxDiff {
		lines = append(lines[:maxDiff:maxDiff], "(and more)\n")
	}
	return lines
}

// edit is a line that stays (' '), goes ('-') or comes ('+'), and where it stands.
type edit struct {
	sign byte
	text string
	a, b int // rows before and after
}

// editsOf compares by the longest common subsequence.
func editsOf(a, b []string) (edits []edit) {
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if length[i][j] = max(length[i+1][j], length[i][j+1]); a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			edits = append(edits, edit{' ', a[i], i, j})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && length[i+1][j] >= length[i][j+1]:
			edits = append(edits, edit{'-', a[i], i, j})
			i++
		default:
			edits = append(edits, edit{'+', b[j], i, j})
			j++
		}
	}
	return edits
}

func writeHunk(out *strings.Builder, edits []edit) {
	before, after := 0, 0
	for _, e := range edits {
		if e.sign != '+' {
			before++
		}
		if e.sign != '-' {
			after++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", rows(edits[0].a, before), rows(edits[0].b, after))
	for _, e := range edits {
		out.WriteByte(e.sign)
		out.WriteString(e.text)
	}
}

// rows is a range of a hunk: its first row, and how many.
func rows(first, count int) string {
	if count == 0 {
		return fmt.Sprintf("%d,0", first)
	}
	return fmt.Sprintf("%d,%d", first+1, count)
}
