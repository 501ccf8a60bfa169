// Package textutil makes text from elsewhere fit to be shown: what a registry,
// an artifact or a file says is bounded, and one line is one line. It is pure.
package textutil

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ellipsis ends a text that was cut.
const Ellipsis = "..."

// Cut returns s where it has at most limit bytes, else as many whole characters
// of it as fit, and the Ellipsis. The result is valid UTF-8.
func Cut(s string, limit int) string {
	head := head(s, limit)
	if len(head) < len(s) {
		return strings.ToValidUTF8(head, "?") + Ellipsis
	}
	return strings.ToValidUTF8(s, "?")
}

// readable is how much of a text from elsewhere one message shows.
const readable = 200

// Short is Cut for a part of a message.
func Short(s string) string { return Cut(s, readable) }

// Count is a number of things, such as "1 host" or "2 hosts".
func Count[N int | uint64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// Quote is Short in quotes, which make what cannot be printed visible.
func Quote(s string) string { return strconv.Quote(Short(s)) }

// Line is Cut for a text that must stay one line of a log, a table or an event.
// Lines, of which joined errors have several, are set off by "; ", other white
// space becomes single spaces, and what cannot be printed (control and
// bidirectional characters, for instance) becomes question marks.
func Line(s string, limit int) string {
	bounded := head(s, limit)
	var b strings.Builder
	for line := range strings.Lines(bounded) {
		words := strings.Join(strings.Fields(strings.Map(printable, line)), " ")
		switch {
		case words == "" || b.Len() == 0:
		case strings.HasSuffix(b.String(), ":"):
			b.WriteByte(' ')
		default:
			b.WriteString("; ")
		}
		b.WriteString(words)
	}
	line := head(b.String(), limit)
	if len(line) < b.Len() || len(bounded) < len(s) {
		return strings.TrimRight(line, " ") + Ellipsis
	}
	return line
}

// head returns as many whole characters of s as fit into limit bytes.
func head(s string, limit int) string {
	end := max(limit, 0)
	if len(s) <= end {
		return s
	}
	for range utf8.UTFMax - 1 {
		if end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
	}
	return s[:end]
}

func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r == utf8.RuneError, !unicode.IsPrint(r):
		return '?'
	}
	return r
}
