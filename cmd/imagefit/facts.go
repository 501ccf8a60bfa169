package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/pkg/facts"
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
		Long: `Facts prints what this node offers, which is what the requirements of images
are evaluated against. The names are those of Node Feature Discovery (NFD).

The JSON output is a superset of what "nfd export features" prints. Save it to
check on another machine whether an image fits this node. The labels are those
that NFD gives a node, without their prefix "` + "feature.node.kubernetes.io/" + `".`,
		Example: `  imagefit facts
  imagefit facts --family cpu
  imagefit facts -o json > node-1.json
  imagefit facts --root /host
  imagefit facts --root node-1.tar.gz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	rootFlag(cmd, &c.root)
	outputFlag(cmd, &c.output, factsOutputs())
	cmd.Flags().StringVar(&c.family, "family", "", "show one family of facts only: "+strings.Join(hostfacts.Families(), ", "))
	complete(cmd, "family", hostfacts.Families())
	cmd.AddCommand(newSnapshotCommand(), newDiffCommand())
	return cmd
}

func factsOutputs() []string { return []string{"text", "json", "yaml", "labels"} }

func rootFlag(cmd *cobra.Command, root *string) {
	cmd.Flags().StringVar(root, "root", "/", "root of the node's file system (proc, sys, etc, boot, usr, lib): a directory or a snapshot")
}

func outputFlag(cmd *cobra.Command, output *string, formats []string) {
	cmd.Flags().StringVarP(output, "output", "o", formats[0], "output format: "+strings.Join(formats, ", "))
	complete(cmd, "output", formats)
}

// complete offers the values of a flag to the shell. The flag exists, so there
// is no error to report.
func complete(cmd *cobra.Command, flag string, values []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func (c factsCommand) run(cmd *cobra.Command) error {
	if err := oneOf("-o", c.output, factsOutputs()); err != nil {
		return err
	}
	root, err := openRoot(c.root)
	if err != nil {
		return err
	}
	facts, err := collect(cmd.Context(), root)
	if err != nil {
		return err
	}
	if c.family != "" {
		if facts, err = familyOf(facts, c.family); err != nil {
			return err
		}
	}
	return c.write(cmd.OutOrStdout(), facts)
}

func (c factsCommand) write(w io.Writer, facts *facts.Facts) error {
	switch c.output {
	case "json":
		return writeJSON(w, facts)
	case "yaml":
		return writeYAML(w, facts)
	case "labels":
		return writeLabels(w, facts)
	}
	limit := maxListed
	if c.family != "" {
		limit = math.MaxInt
	}
	return writeFacts(w, facts, limit)
}

func oneOf(flag, value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s %q is not known; use one of: %s", flag, value, strings.Join(allowed, ", "))
}

// familyOf keeps the sets of one family, such as cpu for cpu.cpuid. A family
// without a collector may be the operator's own.
func familyOf(known *facts.Facts, family string) (*facts.Facts, error) {
	features := known.Features()
	families := hostfacts.Families()
	for _, set := range features.Sets() {
		name, _, _ := strings.Cut(set, ".")
		families = append(families, name)
	}
	slices.Sort(families)
	if err := oneOf("--family", family, slices.Compact(families)); err != nil {
		return nil, err
	}
	kept := features.Only(func(set string) bool { return set == family || strings.HasPrefix(set, family+".") })
	return facts.New(known.OS(), known.Arch(), kept), nil
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// writeYAML writes the same document as writeJSON.
func writeYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return err
	}
	return encoder.Close()
}

func writeLabels(w io.Writer, facts *facts.Facts) error {
	labels := facts.Labels()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(printable(name) + "=" + printable(labels[name]) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
