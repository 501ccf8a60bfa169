package main

import (
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// factsCommand shows what a node offers.
type factsCommand struct {
	root   string
	output cli.Output
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
	c.output.AddFlag(cmd, cli.Text, cli.JSON, cli.YAML, labels)
	cmd.Flags().StringVar(&c.family, "family", "", "show one family of facts only: "+strings.Join(hostfacts.Families(), ", "))
	cli.Complete(cmd, "family", hostfacts.Families()...)
	cmd.AddCommand(newSnapshotCommand(), newDiffCommand())
	return cmd
}

// labels is the format of NFD's feature files.
const labels cli.Output = "labels"

func rootFlag(cmd *cobra.Command, root *string) {
	cmd.Flags().StringVar(root, "root", "/", "root of the node's file system (proc, sys, etc, boot, usr, lib): a directory or a snapshot")
}

func (c factsCommand) run(cmd *cobra.Command) error {
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
	return c.output.Print(cmd.OutOrStdout(), facts, func(w io.Writer) error { return c.write(w, facts) })
}

func (c factsCommand) write(w io.Writer, facts *facts.Facts) error {
	if c.output == labels {
		return writeLabels(w, facts)
	}
	limit := maxListed
	if c.family != "" {
		limit = math.MaxInt
	}
	return writeFacts(w, facts, limit)
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
	if err := cli.Check("family", family, slices.Compact(families)); err != nil {
		return nil, err
	}
	kept := features.Only(func(set string) bool { return set == family || strings.HasPrefix(set, family+".") })
	return facts.New(known.OS(), known.Arch(), kept), nil
}

func writeLabels(w io.Writer, facts *facts.Facts) error {
	values := facts.Labels()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b.WriteString(printable(name) + "=" + printable(values[name]) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
