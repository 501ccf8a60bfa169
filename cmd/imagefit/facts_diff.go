package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/whatif"
)

const (
	// exitDiffer is the exit code for facts that differ.
	exitDiffer = 3
	// nodeImages is the value of --images for those of this node.
	nodeImages = "node"
)

// diffCommand compares the facts of two nodes.
type diffCommand struct {
	images string
	needs  needsFlags
	output cli.Output
}

func newDiffCommand() *cobra.Command {
	var c diffCommand
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare the facts of two nodes, or of one at two times, and what that means",
		Long: `Diff prints how the facts of B differ from those of A, one line each, sorted:

  + what only B has
  - what only A has
  ~ what differs, also between absent, present and unknown

Each of A and B is a file that "imagefit facts -o json" or "nfd export features"
wrote ("-" is standard input), a snapshot, a directory with a node's files, or
"live" for this node.

With --images it adds what the difference means: which images have another verdict
or another best variant on B than on A. What the images need is read from their
registries, as by explain, or with --catalog from a catalog: without --images,
that of all of its images.

The exit code is 0 when nothing differs, 3 when something does, and 1 on an
error.`,
		Example: `  imagefit facts diff node-1.json node-2.json
  imagefit facts diff before.tar.gz live --images node
  ssh node-2 imagefit facts -o json | imagefit facts diff live -`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], args[1]) },
	}
	cmd.Flags().StringVar(&c.images, "images", "", "`FILE` with one reference on each line, or \"node\" for the images of this node: also compare what becomes of them")
	c.needs.add(cmd)
	c.output.AddFlag(cmd, cli.Text, cli.JSON, cli.YAML)
	return cmd
}

// difference is what diff prints with --images. Its JSON names are stable.
type difference struct {
	Facts  []facts.Change `json:"facts"`
	Counts whatif.Counts  `json:"counts"`
	Images []whatif.Entry `json:"images"` // that differ
}

func (c diffCommand) run(cmd *cobra.Command, a, b string) error {
	switch {
	case a == "-" && b == "-":
		return errors.New("only one of A and B can be standard input")
	case c.images == "-" && (a == "-" || b == "-"):
		return errors.New("only one of A, B and --images can be standard input")
	}
	if err := c.needs.validate(cmd, c.images != ""); err != nil {
		return err
	}
	cfg, err := cli.LoadConfig(cmd)
	if err != nil {
		return err
	}
	loader := factsLoader{live: cfg.Facts.Root, stdin: cmd.InOrStdin()}
	before, err := loader.load(cmd.Context(), a)
	if err != nil {
		return fmt.Errorf("load A: %w", err)
	}
	after, err := loader.load(cmd.Context(), b)
	if err != nil {
		return fmt.Errorf("load B: %w", err)
	}
	changes := append([]facts.Change{}, facts.Diff(before, after)...)
	if c.images == "" && !c.needs.fromCatalog(cmd) {
		err = c.output.Print(cmd, changes, func(b *cli.Console) { printChanges(b, changes) })
	} else {
		err = c.printWithImages(cmd, cfg, changes, whatif.Host{Name: hostName(b), Facts: after, Before: before})
	}
	if err == nil && len(changes) > 0 {
		err = cli.ExitError(exitDiffer)
	}
	return err
}

func (c diffCommand) printWithImages(cmd *cobra.Command, cfg config.Config, changes []facts.Change, host whatif.Host) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	hosts := []whatif.Host{host}
	if err := knowArchitectures(hosts); err != nil {
		return err
	}
	var names []string
	var err error
	switch c.images {
	case "": // all of the catalog
	case nodeImages:
		names, err = imagesOnNode(ctx, cfg, stderr)
	default:
		names, err = imagesIn(c.images, cmd.InOrStdin())
	}
	if err != nil {
		return err
	}
	g, err := c.needs.open(cmd)
	if err != nil {
		return err
	}
	defer g.close()
	images, err := g.gather(ctx, names)
	if err != nil {
		return err
	}
	grid, err := g.evaluate(ctx, images, hosts)
	if err != nil {
		return err
	}
	d := difference{Facts: changes, Counts: grid.Counts(), Images: []whatif.Entry{}}
	for e := range grid.Entries() {
		if e.Changed() {
			d.Images = append(d.Images, e)
		}
	}
	return c.output.Print(cmd, d, func(b *cli.Console) {
		printChanges(b, changes)
		b.WriteString("\n")
		printGroups(b, grid, false)
	})
}

func printChanges(b *cli.Console, changes []facts.Change) {
	for _, change := range changes {
		b.WriteString(printable(change.String()) + "\n")
	}
}
