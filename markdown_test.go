package imagefit_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page is a Markdown file of the repository.
type page struct {
	path  string
	lines []line
}

// line is one line of a page, with its code spans kept apart from its prose.
type line struct {
	number int
	text   string
	prose  string // without code spans; empty inside a code block
}

var (
	codeSpan = regexp.MustCompile("`[^`]*`")
	mdLink   = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	bareLink = regexp.MustCompile(`\[([^\]]*)\]\([^()]*\)`)
	anchored = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// pages returns every Markdown file of the repository.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := path != "." && strings.HasPrefix(entry.Name(), ".")
		if entry.IsDir() && (hidden || entry.Name() == "testdata" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(path, ".md") {
			all = append(all, readPage(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no Markdown file found")
	}
	return all
}

func readPage(t *testing.T, path string) page {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, fenced := page{path: filepath.ToSlash(path)}, false
	for i, text := range strings.Split(string(content), "\n") {
		l := line{number: i + 1, text: text}
		fence := strings.HasPrefix(strings.TrimSpace(text), "```")
		if fence {
			fenced = !fenced
		}
		if !fenced && !fence && !strings.HasPrefix(text, "    ") {
			l.prose = codeSpan.ReplaceAllString(text, "` `")
		}
		p.lines = append(p.lines, l)
	}
	return p
}

// headings returns the texts of the headings of a page, as they are written.
func (p page) headings() []string {
	var all []string
	for _, l := range p.lines {
		level := len(l.prose) - len(strings.TrimLeft(l.prose, "#"))
		if level > 0 && strings.HasPrefix(l.prose[level:], " ") {
			all = append(all, strings.TrimSpace(l.text[level:]))
		}
	}
	return all
}

// anchors returns the fragments that the page's headings have on GitHub.
func (p page) anchors() map[string]bool {
	all := map[string]bool{}
	for _, heading := range p.headings() {
		text := bareLink.ReplaceAllString(heading, "$1")
		text = anchored.ReplaceAllString(strings.ToLower(text), "")
		all[strings.ReplaceAll(text, " ", "-")] = true
	}
	return all
}

func TestMarkdownLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := map[string]page{}
	for _, p := range pages(t) {
		all[p.path] = p
	}
	for _, p := range all {
		for _, l := range p.lines {
			for _, match := range mdLink.FindAllStringSubmatch(l.prose, -1) {
				if problem := checkLink(all, p, match[1]); problem != "" {
					t.Errorf("%s:%d: link to %s: %s", p.path, l.number, match[1], problem)
				}
			}
		}
	}
}

// checkLink returns what is wrong with a link of a page. Links that leave the
// repository are not followed.
func checkLink(all map[string]page, from page, link string) string {
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(link, "#")
	target := from.path
	if file != "" {
		target = filepath.ToSlash(filepath.Join(filepath.Dir(from.path), file))
	}
	if _, err := os.Stat(target); err != nil {
		return "no such file"
	}
	if to, ok := all[target]; anchor != "" && (!ok || !to.anchors()[anchor]) {
		return "no such heading"
	}
	return ""
}

func TestEveryPageIsInTheIndex(t *testing.T) {
	t.Parallel()
	linked := map[string]bool{}
	for _, l := range readPage(t, "docs/README.md").lines {
		for _, match := range mdLink.FindAllStringSubmatch(l.prose, -1) {
			file, _, _ := strings.Cut(match[1], "#")
			linked[filepath.ToSlash(filepath.Join("docs", file))] = true
		}
	}
	for _, p := range pages(t) {
		if strings.HasPrefix(p.path, "docs/") && p.path != "docs/README.md" && !linked[p.path] {
			t.Errorf("docs/README.md has no link to %s", p.path)
		}
	}
}

func TestGlossaryHasAtMostTwentyWords(t *testing.T) {
	t.Parallel()
	words, inside := 0, false
	for _, l := range readPage(t, "docs/README.md").lines {
		if strings.HasPrefix(l.text, "## ") {
			inside = l.text == "## Glossary"
		}
		if inside && strings.HasPrefix(l.text, "| **") {
			words++
		}
	}
	if words == 0 || words > 20 {
		t.Errorf("the glossary in docs/README.md has %d words, want 1 to 20", words)
	}
}
