package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/facts"
)

// exitDiffer is the exit code for facts that differ.
const exitDiffer = 3

// diffCommand compares the facts of two nodes.
type diffCommand struct {
	output cli.Output
}

func newDiffCommand() *cobra.Command {
	var c diffCommand
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare the facts of two nodes, or of one at two times",
		Long: `Diff prints how the facts of B differ from those of A, one line each, sorted:

  + what only B has
  - what only A has
  ~ what differs, also between absent, present and unknown

Each of A and B is a file that "imagefit facts -o json" or "nfd export features"
wrote ("-" is standard input), a snapshot, a directory with a node's files, or
"live" for this node.

The exit code is 0 when nothing differs, 3 when something does, and 1 on an
error.`,
		Example: `  imagefit facts diff node-1.json node-2.json
  imagefit facts diff before.tar.gz live
  ssh node-2 imagefit facts -o json | imagefit facts diff live -`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], args[1]) },
	}
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

func (c diffCommand) run(cmd *cobra.Command, a, b string) error {
	if a == "-" && b == "-" {
		return errors.New("only one of A and B can be standard input")
	}
	before, err := loadFacts(cmd.Context(), a, cmd.InOrStdin())
	if err != nil {
		return fmt.Errorf("load A: %w", err)
	}
	after, err := loadFacts(cmd.Context(), b, cmd.InOrStdin())
	if err != nil {
		return fmt.Errorf("load B: %w", err)
	}
	changes := facts.Diff(before, after)
	err = c.output.Print(cmd.OutOrStdout(), append([]facts.Change{}, changes...), func(w io.Writer) error { return writeChanges(w, changes) })
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		return cli.ExitError(exitDiffer)
	}
	return nil
}

func writeChanges(w io.Writer, changes []facts.Change) error {
	var b strings.Builder
	for _, change := range changes {
		b.WriteString(printable(change.String()) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
