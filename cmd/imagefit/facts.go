package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/hostfacts/snapshot"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// factsCommand shows what a node offers.
type factsCommand struct {
	root   string
	output cli.Output
	family string
	all    bool
	class  bool
	like   string
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
that NFD gives a node by default, with --all also those that it can be
configured to; without their prefix "` + "feature.node.kubernetes.io/" + `".

With --class it prints the class of the node: nodes of one class are alike in all
that images ask for, so that "imagefit match" need not look at each.`,
		Example: `  imagefit facts
  imagefit facts --family cpu
  imagefit facts -o json > node-1.json
  imagefit facts --root /host
  imagefit facts --root node-1.tar.gz
  imagefit facts --class`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	rootFlag(cmd, &c.root)
	c.output.AddFlag(cmd, cli.Text, cli.JSON, cli.YAML, labels)
	cmd.Flags().StringVar(&c.family, "family", "", "show one family of facts only: "+strings.Join(hostfacts.Families(), ", "))
	cli.Complete(cmd, "family", hostfacts.Families()...)
	cmd.Flags().BoolVar(&c.all, "all", false, "with -o labels: also the labels that NFD makes only where it is configured to")
	cmd.Flags().BoolVar(&c.class, "class", false, "the class of this node: its ID, with -o json its facts too, with -o labels its label")
	cmd.Flags().StringVar(&c.like, "like", "", `with --class: the class among those of this file, which "imagefit export classes" printed; without it, they differ in what every class has`)
	cmd.MarkFlagsMutuallyExclusive("class", "family")
	cmd.AddCommand(newSnapshotCommand(), newDiffCommand())
	return cmd
}

// labels is the format of NFD's feature files.
const labels cli.Output = "labels"

func rootFlag(cmd *cobra.Command, root *string) {
	cmd.Flags().StringVar(root, "root", "", "root of the node's file system (proc, sys, etc, boot, usr, lib): a directory or a snapshot (default: facts.root of the configuration)")
}

func (c factsCommand) run(cmd *cobra.Command) error {
	root, err := openRoot(cmd, c.root)
	if err != nil {
		return err
	}
	facts, err := collect(cmd.Context(), root)
	if err != nil {
		return err
	}
	if c.class {
		asked, err := dimensionsIn(cmd, c.like)
		if err != nil {
			return fmt.Errorf("--like: %w", err)
		}
		return c.printClass(cmd, nodeclass.Of(facts, asked))
	}
	if c.like != "" {
		return errors.New("--like is for --class")
	}
	if c.family != "" {
		if facts, err = familyOf(facts, c.family); err != nil {
			return err
		}
	}
	return c.output.Print(cmd, facts, func(b *cli.Console) {
		switch {
		case c.output == labels:
			values := facts.Labels()
			if c.all {
				values = facts.AllLabels()
			}
			for _, name := range slices.Sorted(maps.Keys(values)) {
				b.WriteString(printable(name) + "=" + printable(values[name]) + "\n")
			}
		case c.family != "":
			writeFacts(&b.Builder, facts, math.MaxInt)
		default:
			writeFacts(&b.Builder, facts, maxListed)
		}
	})
}

func (c factsCommand) printClass(cmd *cobra.Command, class nodeclass.Class) error {
	return c.output.Print(cmd, class, func(b *cli.Console) {
		if c.output == labels {
			b.WriteString(nodeclass.Label + "=")
		}
		b.WriteString(class.ID + "\n")
	})
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

// snapshotCommand saves the files that the facts of a node are read from.
type snapshotCommand struct {
	root string
	all  bool
}

func newSnapshotCommand() *cobra.Command {
	var c snapshotCommand
	cmd := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Save the files that the facts are read from",
		Long: `Snapshot writes a tar.gz of exactly the files that the facts of this node are
read from. "imagefit facts --root FILE" reads it on any machine and yields the
same facts. With "-" as FILE it is written to standard output.

What identifies the machine is left out: host name, serial numbers, UUIDs,
hardware and network addresses, disk labels, and the kernel parameters that
contain them or secrets. The facts that need them are unknown in the snapshot;
the fingerprint is the same. Use --all to keep them.

Files of /etc/imagefit/facts.d and of NFD's features.d are facts and are
included: review them before you share a snapshot.`,
		Example: `  imagefit facts snapshot node-1.tar.gz
  imagefit facts --root node-1.tar.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	rootFlag(cmd, &c.root)
	cmd.Flags().BoolVar(&c.all, "all", false, "keep host name, serial numbers, UUIDs and addresses")
	return cmd
}

func (c snapshotCommand) run(cmd *cobra.Command, path string) error {
	root, err := openRoot(cmd, c.root)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		return snapshot.Write(cmd.Context(), w, root, snapshot.Options{Identity: c.all})
	}
	if path == "-" {
		return write(cmd.OutOrStdout())
	}
	if err := fsutil.WriteAtomic(path, fsutil.WriteOptions{}, write); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	return nil
}
