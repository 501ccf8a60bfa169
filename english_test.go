package imagefit_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// phrase is something that a native speaker who runs nodes would not write.
type phrase struct {
	pattern *regexp.Regexp
	except  *regexp.Regexp // a match that also matches this is fine
	instead string
}

func phrases() []phrase {
	list := []struct{ pattern, except, instead string }{
		{`(\w+ )?\b(is|are|was|were) no [a-z-]+`, `^there |^no |no (longer|more|less|newer|older|later|deeper|larger|smaller|fewer|better|worse)$`, `"is not a"`},
		{`(\w+ )?\b(is|are) none\b`, `^there `, `"is not one of", "does not exist"`},
		{`\bas without (us|imagefit)\b`, "", "what the runtime does by itself"},
		{`\b(nobody|somebody)\b`, "", "name the program or the person"},
		{`\btaken (up|in)\b`, "", `"loaded", "registered"`},
		{`\bpassed over\b`, "", `"skipped", "ignored"`},
		{`\b(held|holds|hold) against\b`, "", `"compared with", "evaluated against"`},
		{`\bhow it goes\b`, "", `"its status"`},
		{`\b(go|goes|going|went|gone) on\b`, "", `"continue", "fall back to"`},
		{`\banew\b`, "", `"again"`},
		{`\blook(ed|s)? into\b`, "", `"inspected", "read"`},
		{`\basked of\b`, "", `"required of"`},
		{`\b(hearing|heard)\b`, "", `"evaluation", "received"`},
		{`\b(said|unsaid)\b`, "", `"stated", "declared", or name who writes it`},
		{`\bodd(ly|ity|ities)?\b`, "", `"unreadable", "unexpected"`},
		{`\b(landing|guest|treatment)s?\b`, "", "a word of CRI, OCI or Kubernetes"},
		{`\broad\b`, "", `"path", "flow"`},
		{`\bjudg(e|es|ed|ing|ement)\b`, "", `"evaluate", "decide"`},
		{`\b(a|its|one's|their|whose) turn\b`, "", "say what happens"},
		{`\b(stood|stands)\b`, "", `"is"`},
		{`\b(old|other|which|that|still|configuration|policy|list) holds\b`, "", `"applies", "is in effect"`},
		{`\b(alone|newest|latest|longest|last|best|later|lowest|highest|one|configuration|does not|no longer) counts?\b`, "", `"is used", "applies"`},
		{`\bcounts? (no longer|alone|only|for it|after)\b`, "", `"is used", "applies"`},
	}
	var all []phrase
	for _, p := range list {
		compiled := phrase{pattern: regexp.MustCompile(`(?i)` + p.pattern), instead: p.instead}
		if p.except != "" {
			compiled.except = regexp.MustCompile(`(?i)` + p.except)
		}
		all = append(all, compiled)
	}
	return all
}

// problems returns what to rewrite in a text, in the order of the list.
func problems(list []phrase, text string) []string {
	var found []string
	for _, p := range list {
		for _, match := range p.pattern.FindAllString(text, -1) {
			if p.except == nil || !p.except.MatchString(match) {
				found = append(found, strconv.Quote(match)+": write "+p.instead)
			}
		}
	}
	return found
}

func TestDocumentationIsPlainEnglish(t *testing.T) {
	t.Parallel()
	list := phrases()
	files := pages(t)
	for _, path := range []string{"config.toml.example", "Makefile"} {
		files = append(files, verbatim(readPage(t, path)))
	}
	for _, path := range slices.Concat(filesUnder(t, "deploy"), embeddedSpecs(t)) {
		files = append(files, verbatim(readPage(t, path)))
	}
	for _, p := range files {
		for _, l := range p.lines {
			for _, problem := range problems(list, l.prose) {
				t.Errorf("%s:%d: %s", p.path, l.number, problem)
			}
		}
	}
}

// verbatim is a file that is not Markdown: all of it is prose.
func verbatim(p page) page {
	for i := range p.lines {
		p.lines[i].prose = p.lines[i].text
	}
	return p
}

// embeddedSpecs are data files whose descriptions the CLI prints.
func embeddedSpecs(t *testing.T) []string {
	t.Helper()
	specs := slices.DeleteFunc(filesUnder(t, "pkg"), func(path string) bool {
		return filepath.Ext(path) != ".toml" || strings.Contains(filepath.ToSlash(path), "/testdata/")
	})
	if len(specs) == 0 {
		t.Fatal("no embedded compatibility spec found under pkg")
	}
	return specs
}

func filesUnder(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTextsOfTheProgramsArePlainEnglish(t *testing.T) {
	t.Parallel()
	list := append(phrases(), phrase{
		pattern: regexp.MustCompile(`(?i)\bfailed to\b`), instead: "the verb first, and what it was done to",
	})
	// What containerd writes, and our code looks for.
	quoted := []string{"failed to pull"}
	for _, text := range literals(t) {
		if slices.Contains(quoted, text.value) {
			continue
		}
		for _, problem := range problems(list, text.value) {
			t.Errorf("%s: %s", text.position, problem)
		}
	}
}
