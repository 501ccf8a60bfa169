package textutil

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCutKeepsWholeCharacters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc..."},
		{"abcd", 0, "..."},
		{"abcd", -1, "..."},
		{"aé", 3, "aé"},
		{"aéz", 2, "a..."},
		{"aéz", 3, "aé..."},
		{"a😀z", 4, "a..."},
		{"a\xffb", 9, "a?b"},
		{strings.Repeat("\x80", 9), 4, "?..."},
	} {
		if got := Cut(tt.text, tt.limit); got != tt.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.text, tt.limit, got, tt.want)
		}
	}
}

func TestLineIsOnePrintableLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain text, é and 語":            "plain text, é and 語",
		"two\nlines\r\n":                 "two; lines",
		"\n\none:\n\tand\n\n two\n":      "one: and; two",
		strings.Repeat("\n", 99):         "",
		strings.Repeat("\nx", 49):        strings.Repeat("; x", 34)[2:] + "...",
		" tab\tand  no-break\u00a0space": "tab and no-break space",
		"bell\a, escape\x1b[31m":         "bell?, escape?[31m",
		"right to left \u202eevil":       "right to left ?evil",
		"half a character \xe2\x82":      "half a character ??",
		"replacement \ufffd":             "replacement ?",
		strings.Repeat("x", 101):         strings.Repeat("x", 100) + "...",
	} {
		if got := Line(text, 100); got != want {
			t.Errorf("Line(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzCutAndLineAreBounded(f *testing.F) {
	f.Add("plain", 3)
	f.Add("é語😀\x80\xff\u202e\n\t", 5)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		bound := max(limit, 0) + len(Ellipsis)
		cut := Cut(text, limit)
		if len(cut) > bound || !utf8.ValidString(cut) {
			t.Errorf("Cut(%q, %d) = %q", text, limit, cut)
		}
		if whole := len(text) <= limit; whole && utf8.ValidString(text) && cut != text {
			t.Errorf("Cut(%q, %d) = %q, want it unchanged", text, limit, cut)
		}
		line := Line(text, limit)
		if len(line) > bound || strings.Contains(line, "  ") || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("Line(%q, %d) = %q", text, limit, line)
		}
		if again := Line(line, len(line)); again != line {
			t.Errorf("Line(%q) = %q, want it unchanged", line, again)
		}
	})
}

func TestCountNamesOneThingOrMany(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 hosts", 1: "1 host", 2: "2 hosts"} {
		if got := Count(n, "host"); got != want {
			t.Errorf("Count(%d) is %q, want %q", n, got, want)
		}
	}
}
