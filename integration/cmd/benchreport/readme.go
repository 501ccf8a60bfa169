package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Between these lines a page has what benchmarks say; the rest is somebody's words.
const (
	beginReadme = "<!-- begin: make bench-report writes this -->\n"
	endReadme   = "<!-- end -->\n"
)

// headline is one number of the README: the ratio of a benchmark.
type headline struct{ name, what string }

func headlines() []headline {
	return []headline{
		{"Version", "a call that is forwarded"},
		{"WarmPull/candidates=4/rtt=100ms", "a pull of what is on the node, from a registry 100 ms away"},
		{"ColdPull/candidates=4/rtt=100ms", "a first pull from there, of an index with four variants"},
	}
}

// readme is the table of the README. All of its numbers must have been measured.
func (r Report) readme() (string, error) {
	byName := map[string]Result{}
	for _, result := range r.Results {
		byName[result.Name] = result
	}
	sides := claims()[0].columns
	var b strings.Builder
	b.WriteString(beginReadme + "| | directly | through cri-proxy | ratio |\n|---|---|---|---|\n")
	for _, h := range headlines() {
		b.WriteString("| " + h.what + " |")
		for _, col := range sides {
			text := format(byName[h.name].Values, col)
			if text == "" {
				return "", fmt.Errorf("benchmark %s was not run, or reported no %s", h.name, col.unit)
			}
			b.WriteString(" " + text + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString(endReadme)
	return b.String(), nil
}

// writeReadme replaces the table in a file.
func (r Report) writeReadme(file string) error {
	table, err := r.readme()
	if err != nil {
		return fmt.Errorf("write the table of %s: %w", file, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, hasBegin := strings.Cut(string(text), beginReadme)
	_, after, hasEnd := strings.Cut(rest, endReadme)
	if !hasBegin || !hasEnd {
		return errors.New(file + " has no lines between which the table belongs: " + strings.TrimSpace(beginReadme) + " and " + strings.TrimSpace(endReadme))
	}
	return os.WriteFile(file, []byte(before+table+after), 0o644)
}
