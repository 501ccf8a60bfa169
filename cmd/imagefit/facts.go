package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// factsCommand shows what a node offers.
type factsCommand struct {
	root   string
	output string
	family string
}

func newFactsCommand() *cobra.Command {
	var c factsCommand
	cmd := &cobra.Command{
		Use:   "facts",
		Short: "Show what this node offers to images",
		Long: `Facts prints what this node offers: what the requirements of images are held
against. The names are those of Node Feature Discovery (NFD).

The JSON output is what "nfd export features" prints, and more. Save it on one
node to ask on another machine whether an image would fit.`,
		Example: `  imagefit facts
  imagefit facts --family cpu
  imagefit facts -o json > node-1.json
  imagefit facts --root /host`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	cmd.Flags().StringVar(&c.root, "root", "/", "directory that holds the proc, sys, etc, boot, usr and lib of the node")
	cmd.Flags().StringVarP(&c.output, "output", "o", "text", "output format: "+strings.Join(factsOutputs(), " or "))
	cmd.Flags().StringVar(&c.family, "family", "", "show one family of facts only: "+strings.Join(factsFamilies(), ", "))
	complete(cmd, "output", factsOutputs())
	complete(cmd, "family", factsFamilies())
	return cmd
}

func factsOutputs() []string { return []string{"text", "json"} }

func factsFamilies() []string { return []string{"cpu", "kernel", "memory", "network", "system"} }

// complete offers the values of a flag to the shell. The flag exists, so there
// is no error to hear of.
func complete(cmd *cobra.Command, flag string, values []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func (c factsCommand) run(cmd *cobra.Command) error {
	if err := c.validate(); err != nil {
		return err
	}
	facts := hostfacts.Collect(cmd.Context(), hostfacts.NewRoot(c.root))
	if err := cmd.Context().Err(); err != nil {
		return fmt.Errorf("collect facts: %w", err)
	}
	if c.family != "" {
		facts = familyOf(facts, c.family)
	}
	if c.output == "json" {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		return encoder.Encode(facts)
	}
	limit := maxListed
	if c.family != "" {
		limit = math.MaxInt
	}
	return writeFacts(cmd.OutOrStdout(), facts, limit)
}

func (c factsCommand) validate() error {
	if err := oneOf("-o", c.output, factsOutputs()); err != nil {
		return err
	}
	if c.family != "" {
		if err := oneOf("--family", c.family, factsFamilies()); err != nil {
			return err
		}
	}
	info, err := os.Stat(c.root)
	if err != nil {
		return fmt.Errorf("open --root: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("open --root: %s is not a directory", c.root)
	}
	return nil
}

func oneOf(flag, value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s %q is not known; use one of: %s", flag, value, strings.Join(allowed, ", "))
}

// familyOf keeps the sets of one family, such as cpu for cpu.cpuid.
func familyOf(facts *hostfacts.Facts, family string) *hostfacts.Facts {
	features := facts.Features()
	keepFamily(features.Flags, family)
	keepFamily(features.Attributes, family)
	keepFamily(features.Instances, family)
	keepFamily(features.Unknown, family)
	return hostfacts.New(facts.OS(), facts.Arch(), features)
}

func keepFamily[V any](sets map[string]V, family string) {
	maps.DeleteFunc(sets, func(set string, _ V) bool { return !strings.HasPrefix(set, family+".") })
}

// maxListed keeps a set such as kernel.config, with thousands of attributes,
// from burying the rest.
const maxListed = 100

// writeFacts prints one section for each set that is known, and then what is
// unknown. Of a set with more than limit attributes it prints the count alone.
func writeFacts(w io.Writer, facts *hostfacts.Facts, limit int) error {
	features := facts.Features()
	var b strings.Builder
	arch := cmp.Or(facts.Arch(), "unknown")
	fmt.Fprintf(&b, "platform     %s/%s\nfingerprint  %s\n", facts.OS(), arch, facts.Fingerprint())
	for _, set := range setNames(features) {
		writeSet(&b, set, features, limit)
	}
	if len(features.Unknown) > 0 {
		b.WriteString("\nunknown: could not be read\n")
		writeAligned(&b, features.Unknown)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func setNames(features hostfacts.Features) []string {
	names := map[string]struct{}{}
	for set := range features.Flags {
		names[set] = struct{}{}
	}
	for set := range features.Attributes {
		names[set] = struct{}{}
	}
	for set := range features.Instances {
		names[set] = struct{}{}
	}
	return slices.Sorted(maps.Keys(names))
}

func writeSet(b *strings.Builder, set string, features hostfacts.Features, limit int) {
	flags, attributes, instances := features.Flags[set], features.Attributes[set], features.Instances[set]
	fmt.Fprintf(b, "\n%s: %s\n", set, stateOf(set, features, len(flags)+len(attributes)+len(instances)))
	if len(attributes) > limit {
		family, _, _ := strings.Cut(set, ".")
		fmt.Fprintf(b, "  (list them with --family %s)\n", family)
	} else {
		writeAligned(b, attributes)
	}
	writeWrapped(b, flags)
	for _, instance := range instances {
		writeInstance(b, instance)
	}
}

func stateOf(set string, features hostfacts.Features, count int) string {
	state := strconv.Itoa(count) + " present"
	if count == 0 {
		state = "none"
	}
	if _, unknown := features.Unknown[set]; unknown {
		state += ", the rest unknown"
	}
	return state
}

func writeAligned(b *strings.Builder, values map[string]string) {
	width := 0
	for key := range values {
		width = max(width, len(key))
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		line := fmt.Sprintf("  %-*s  %s", width, key, printable(values[key]))
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

// writeInstance prints the name of a device before its other attributes.
func writeInstance(b *strings.Builder, instance map[string]string) {
	b.WriteString("  " + printable(instance["name"]))
	for _, key := range slices.Sorted(maps.Keys(instance)) {
		if key != "name" {
			fmt.Fprintf(b, " %s=%s", key, printable(instance[key]))
		}
	}
	b.WriteString("\n")
}

// printable quotes a value that would upset a terminal.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
