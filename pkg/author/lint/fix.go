package lint

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat/document"
)

// Edit replaces the text of one scalar.
type Edit struct {
	Offset, Length int
	Text           string
}

// editOf replaces a scalar, if its text is known byte for byte and can hold the
// new one in its place.
func editOf(n *document.Node, text string) *Edit {
	needsNoQuotes := regexp.MustCompile(`^[\w./][\w./-]*$`) // and no escapes, in JSON or YAML
	if n.Length <= 0 || !needsNoQuotes.MatchString(text) {
		return nil
	}
	if n.At == n.Start && !staysText(text) {
		text = `"` + text + `"`
	}
	return &Edit{Offset: n.At, Length: n.Length, Text: text}
}

// staysText reports whether YAML takes a text without quotes for a text.
func staysText(text string) bool {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return false
	default:
		return text[0] >= 'A' && text[0] <= 'Z' || text[0] >= 'a' && text[0] <= 'z'
	}
}

// Apply makes the edits of the findings in a body; all other bytes stay. It
// returns how many were made. The result says the same as the body but for what
// was edited, or there is an error.
func Apply(body []byte, findings []Finding) ([]byte, int, error) {
	var edits []Edit
	for _, f := range findings {
		if f.Edit != nil {
			edits = append(edits, *f.Edit)
		}
	}
	slices.SortFunc(edits, func(a, b Edit) int { return a.Offset - b.Offset })
	edits = slices.Compact(edits)
	var fixed []byte
	at := 0
	for _, e := range edits {
		if e.Offset < at || e.Offset+e.Length > len(body) {
			return nil, 0, fmt.Errorf("fix byte %d: two changes overlap", e.Offset)
		}
		fixed = append(append(fixed, body[at:e.Offset]...), e.Text...)
		at = e.Offset + e.Length
	}
	fixed = append(fixed, body[at:]...)
	if len(edits) == 0 {
		return fixed, 0, nil
	}
	if err := verify(body, fixed, edits); err != nil {
		return nil, 0, err
	}
	return fixed, len(edits), nil
}

// verify reads both texts: a change must never become another structure.
func verify(body, fixed []byte, edits []Edit) error {
	before, err := document.Parse(body)
	if err != nil {
		return fmt.Errorf("read before the fix: %w", err)
	}
	after, err := document.Parse(fixed)
	if err != nil {
		return fmt.Errorf("read after the fix: %w", err)
	}
	meant := func(a, b *document.Node) bool {
		return slices.ContainsFunc(edits, func(e Edit) bool { return a.At == e.Offset && b.Value == strings.Trim(e.Text, `"`) })
	}
	if !document.Same(before, after, meant) {
		return errors.New("read after the fix: more has changed than intended")
	}
	return nil
}

// Diff shows two texts with the same number of rows as a unified diff without
// context, and nothing where they are equal.
func Diff(file string, before, after []byte) string {
	olds, news := bytes.SplitAfter(before, []byte("\n")), bytes.SplitAfter(after, []byte("\n"))
	var b strings.Builder
	for i := range min(len(olds), len(news)) {
		if bytes.Equal(olds[i], news[i]) {
			continue
		}
		if b.Len() == 0 {
			fmt.Fprintf(&b, "--- %s\n+++ %s\n", file, file)
		}
		fmt.Fprintf(&b, "@@ -%d +%d @@\n-%s\n+%s\n", i+1, i+1, bytes.TrimRight(olds[i], "\r\n"), bytes.TrimRight(news[i], "\r\n"))
	}
	return b.String()
}
