// Package textutil makes text from elsewhere fit to be shown: what a registry,
// an artifact or a file says is bounded, and one line is one line. It is pure.
package textutil

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ellipsis ends a text that was cut.
const Ellipsis = "..."

// Cut returns s where it has at most limit bytes, else as many whole characters
// of it as fit, and the Ellipsis. The result is valid UTF-8.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "?")
	}
	end := max(limit, 0)
	for range utf8.UTFMax - 1 {
		if end == 0 || utf8.RuneStart(s[end]) {
			break
		}
		end--
	}
	return strings.ToValidUTF8(s[:end], "?") + Ellipsis
}

// Line is Cut for a text that must stay one line of a log, a table or an event:
// white space becomes single spaces, what cannot be printed (control and
// bidirectional characters, for instance) becomes question marks.
func Line(s string, limit int) string {
	s = Cut(s, limit)
	spaces := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
	return strings.Join(strings.Fields(spaces), " ")
}
