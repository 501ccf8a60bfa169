package imagefit_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const troubleshooting = "docs/troubleshooting.md"

// verb is what fmt fills in.
var verb = regexp.MustCompile(`%[-+# 0]*(\[\d+\])?[0-9.]*[a-zA-Z]`)

// TestTroubleshootingQuotesTextsThatExist: a heading in code is a text that a
// program prints, with ... for what it fills in.
func TestTroubleshootingQuotesTextsThatExist(t *testing.T) {
	t.Parallel()
	texts := literals(t)
	for i := range texts {
		texts[i].value = verb.ReplaceAllString(texts[i].value, gap)
	}
	checked := 0
	for _, heading := range readPage(t, troubleshooting).headings() {
		quoted, ok := quotedText(heading)
		if !ok {
			continue
		}
		checked++
		pattern := printing(quoted)
		if !slices.ContainsFunc(texts, func(l literal) bool { return pattern.MatchString(l.value) }) {
			t.Errorf("%s: no program prints %q; the most alike: %q", troubleshooting, quoted, mostAlike(texts, quoted))
		}
	}
	if checked == 0 {
		t.Errorf("%s has no heading in code", troubleshooting)
	}
}

// quotedText returns the text of a heading that is one code span.
func quotedText(heading string) (string, bool) {
	text, ok := strings.CutPrefix(heading, "`")
	if !ok || !strings.HasSuffix(text, "`") {
		return "", false
	}
	text = strings.TrimSuffix(text, "`")
	return text, !strings.Contains(text, "`")
}

// printing matches literals with the parts of a quoted text, in order and with
// nothing but what is filled in between.
func printing(quoted string) *regexp.Regexp {
	var parts []string
	for part := range strings.SplitSeq(quoted, "...") {
		parts = append(parts, regexp.QuoteMeta(strings.TrimSpace(part)))
	}
	return regexp.MustCompile(strings.Join(parts, `[^a-zA-Z`+gap+`]*`+gap+`[^a-zA-Z]*`))
}

// mostAlike returns the literal that shares most words with a text.
func mostAlike(texts []literal, quoted string) string {
	words := strings.Fields(strings.ReplaceAll(quoted, "...", ""))
	best, most := "", 0
	for _, l := range texts {
		have, shared := strings.Fields(l.value), 0
		for _, word := range words {
			if slices.Contains(have, word) {
				shared++
			}
		}
		if shared > most || shared == most && shared > 0 && len(l.value) < len(best) {
			best, most = l.value, shared
		}
	}
	return best
}

func TestTextThatNoProgramPrintsIsFound(t *testing.T) {
	t.Parallel()
	value := verb.ReplaceAllString("no variant of %s fits this node: %s", gap)
	for quoted, want := range map[string]bool{
		"no variant of ... fits this node":      true,
		"no variant of ... fits this node: ...": true,
		"fits this node":                        true,
		"no variant of fits this node":          false,
		"no variant of ... fits that node":      false,
		"... no variant of":                     false,
	} {
		if got := printing(quoted).MatchString(value); got != want {
			t.Errorf("%q: %v, want %v", quoted, got, want)
		}
	}
}
