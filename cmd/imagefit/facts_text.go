package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// maxListed keeps a set such as kernel.config, with thousands of attributes, from
// filling the screen.
const maxListed = 100

// writeFacts prints one section for each set that is known, then what is
// unknown and what was skipped. Of a set with more than limit attributes it prints
// only the count.
func writeFacts(w io.Writer, facts *facts.Facts, limit int) error {
	features := facts.Features()
	var b strings.Builder
	arch := cmp.Or(facts.Arch(), "unknown")
	fmt.Fprintf(&b, "platform     %s/%s\nfingerprint  %s\n", facts.OS(), arch, facts.Fingerprint())
	for _, set := range knownSets(features) {
		section{facts: facts, features: features, set: set}.write(&b, limit)
	}
	if len(features.Unknown) > 0 {
		b.WriteString("\nunknown: could not be read\n")
		writeAligned(&b, features.Unknown, nil)
	}
	if problems := facts.Problems(); len(problems) > 0 {
		b.WriteString("\nproblems: skipped\n")
		for _, problem := range problems {
			b.WriteString("  " + printable(problem) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func knownSets(features facts.Features) []string {
	names := slices.AppendSeq(slices.AppendSeq(slices.Collect(maps.Keys(features.Flags)),
		maps.Keys(features.Attributes)), maps.Keys(features.Instances))
	slices.Sort(names)
	return slices.Compact(names)
}

// section is what is printed of one set.
type section struct {
	facts    *facts.Facts
	features facts.Features
	set      string
}

func (s section) write(b *strings.Builder, limit int) {
	flags, attributes, instances := s.features.Flags[s.set], s.features.Attributes[s.set], s.features.Instances[s.set]
	fmt.Fprintf(b, "\n%s: %s", s.set, s.state(len(flags)+len(attributes)+len(instances)))
	if origin := s.facts.Origin(s.set, ""); origin != "" {
		b.WriteString(" (" + printable(origin) + ")")
	}
	b.WriteString("\n")
	if len(attributes) > limit {
		family, _, _ := strings.Cut(s.set, ".")
		fmt.Fprintf(b, "  (list them with --family %s)\n", family)
	} else {
		writeAligned(b, attributes, s.origin)
	}
	s.writeFlags(b, flags)
	for _, instance := range instances {
		s.writeInstance(b, instance)
	}
	if absent := s.features.Absent[s.set]; len(absent) > 0 {
		writeWrapped(b, append([]string{"absent:"}, absent...))
	}
}

func (s section) state(count int) string {
	state := strconv.Itoa(count) + " present"
	if count == 0 {
		state = "none"
	}
	if _, unknown := s.features.Unknown[s.set]; unknown {
		state += ", the rest unknown"
	}
	return state
}

// origin returns where an element was read, in parentheses, if that is not where
// the rest of its set was.
func (s section) origin(element string) string {
	if origin := s.facts.Origin(s.set, element); origin != s.facts.Origin(s.set, "") {
		return "  (" + printable(origin) + ")"
	}
	return ""
}

// writeFlags prints flags with an origin of their own on separate lines.
func (s section) writeFlags(b *strings.Builder, flags []string) {
	var words, lines []string
	for _, flag := range flags {
		if origin := s.origin(flag); origin != "" {
			lines = append(lines, "  "+printable(flag)+origin+"\n")
		} else {
			words = append(words, flag)
		}
	}
	writeWrapped(b, words)
	b.WriteString(strings.Join(lines, ""))
}

// writeInstance prints the name of a device before its other attributes.
func (s section) writeInstance(b *strings.Builder, instance map[string]string) {
	var words []string
	if name := instance["name"]; name != "" {
		words = append(words, printable(name))
	}
	for _, key := range slices.Sorted(maps.Keys(instance)) {
		if key != "name" {
			words = append(words, printable(key)+"="+printable(instance[key]))
		}
	}
	b.WriteString("  " + strings.Join(words, " ") + s.origin(instance["name"]) + "\n")
}

// writeAligned prints one line for each value, and what suffix adds to it.
func writeAligned(b *strings.Builder, values map[string]string, suffix func(key string) string) {
	width := 0
	for key := range values {
		width = max(width, len(key))
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		line := fmt.Sprintf("  %-*s  %s", width, printable(key), printable(values[key]))
		if suffix != nil {
			line += suffix(key)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// writeWrapped prints words in lines of at most 80 columns.
func writeWrapped(b *strings.Builder, words []string) {
	const columns = 80
	line := " "
	for _, word := range words {
		if len(line)+1+len(word) > columns && line != " " {
			b.WriteString(line + "\n")
			line = " "
		}
		line += " " + printable(word)
	}
	if line != " " {
		b.WriteString(line + "\n")
	}
}

// printable quotes a value with characters that a terminal could interpret.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
