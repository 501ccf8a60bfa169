package install

import (
	"fmt"
	"strings"
)

// Text is the result for people.
func (r Result) Text() string {
	var b strings.Builder
	width := 0
	for _, e := range r.Found {
		width = max(width, len(e.What))
	}
	for _, e := range r.Found {
		fmt.Fprintf(&b, "%-*s   %s   (%s)\n", width, e.What, e.Value, e.From)
	}
	for _, c := range r.Changes {
		b.WriteString("\n" + c.Diff)
	}
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		b.WriteString("\n" + title + "\n")
		for _, line := range lines {
			b.WriteString("  " + line + "\n")
		}
	}
	list("restarts, in this order:", r.Units)
	list("after a restart or an upgrade of the node:", r.Lasts)
	list("notes:", r.Notes)
	for _, s := range r.Paste {
		var lines []string
		for line := range strings.Lines(s.Text) {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
		list(s.Title+":", lines)
	}
	return b.String()
}
