package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/pkg/facts"
)

// exitDiffer is the exit code for facts that differ.
const exitDiffer = 3

// errDiffer leads to exitDiffer without a message.
var errDiffer = errors.New("facts differ")

// diffCommand compares the facts of two nodes.
type diffCommand struct {
	output string
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
	outputFlag(cmd, &c.output, diffOutputs())
	return cmd
}

func diffOutputs() []string { return []string{"text", "json"} }

func (c diffCommand) run(cmd *cobra.Command, a, b string) error {
	if err := oneOf("-o", c.output, diffOutputs()); err != nil {
		return err
	}
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
	if err := c.write(cmd.OutOrStdout(), changes); err != nil {
		return err
	}
	if len(changes) > 0 {
		return errDiffer
	}
	return nil
}

func (c diffCommand) write(w io.Writer, changes []facts.Change) error {
	if c.output == "json" {
		return writeJSON(w, append([]facts.Change{}, changes...))
	}
	var b strings.Builder
	for _, change := range changes {
		b.WriteString(printable(change.String()) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
