package main

import (
	"cmp"
	"fmt"
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
func writeFacts(b *strings.Builder, facts *facts.Facts, limit int) {
	features := facts.Features()
	arch := cmp.Or(facts.Arch(), "unknown")
	fmt.Fprintf(b, "platform     %s/%s\nfingerprint  %s\n", facts.OS(), arch, facts.Fingerprint())
	sets := slices.Concat(slices.Collect(maps.Keys(features.Flags)),
		slices.Collect(maps.Keys(features.Attributes)), slices.Collect(maps.Keys(features.Instances)))
	slices.Sort(sets)
	for _, set := range slices.Compact(sets) {
		section{facts: facts, features: features, set: set}.write(b, limit)
	}
	if len(features.Unknown) > 0 {
		b.WriteString("\nunknown: could not be read or decided\n")
		writeAligned(b, oneForEachCause(features.Unknown), nil)
	}
	if problems := facts.Problems(); len(problems) > 0 {
		b.WriteString("\nproblems: skipped\n")
		for _, problem := range problems {
			b.WriteString("  " + printable(problem) + "\n")
		}
	}
}

// oneForEachCause puts the elements of a set that are unknown for the same cause
// under the first of them.
func oneForEachCause(unknown map[string]string) map[string]string {
	first, more := map[[2]string]string{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		set, _, isElement := strings.Cut(name, "/")
		key := [2]string{set, unknown[name]}
		if _, seen := first[key]; seen && isElement {
			more[first[key]]++
			continue
		}
		first[key] = name
	}
	rows := map[string]string{}
	for key, name := range first {
		if n := more[name]; n > 0 {
			name += " and " + strconv.Itoa(n) + " more"
		}
		rows[name] = key[1]
	}
	return rows
}

// section is what is printed of one set.
type section struct {
	facts    *facts.Facts
	features facts.Features
	set      string
}

func (s section) write(b *strings.Builder, limit int) {
	flags, attributes, instances := s.features.Flags[s.set], s.features.Attributes[s.set], s.features.Instances[s.set]
	state := "none"
	if count := len(flags) + len(attributes) + len(instances); count > 0 {
		state = strconv.Itoa(count) + " present"
	}
	if _, unknown := s.features.Unknown[s.set]; unknown {
		state += ", the rest unknown"
	}
	fmt.Fprintf(b, "\n%s: %s", s.set, state)
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
	var words, lines []string // flags with an origin of their own have a line each
	for _, flag := range flags {
		if origin := s.origin(flag); origin != "" {
			lines = append(lines, "  "+printable(flag)+origin+"\n")
		} else {
			words = append(words, flag)
		}
	}
	writeWrapped(b, words)
	b.WriteString(strings.Join(lines, ""))
	for _, instance := range instances {
		s.writeInstance(b, instance)
	}
	if absent := s.features.Absent[s.set]; len(absent) > 0 {
		writeWrapped(b, append([]string{"absent:"}, absent...))
	}
}

// origin returns where an element was read, in parentheses, if that is not where
// the rest of its set was.
func (s section) origin(element string) string {
	if origin := s.facts.Origin(s.set, element); origin != s.facts.Origin(s.set, "") {
		return "  (" + printable(origin) + ")"
	}
	return ""
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
