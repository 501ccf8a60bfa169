package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
)

// maxSpecFile bounds what is read of a file, as of an artifact.
const maxSpecFile = 4 << 20

// checkCommand evaluates a file that is not pushed yet on a node.
type checkCommand struct {
	facts  string
	output cli.Output
}

func newCheckCommand() *cobra.Command {
	var c checkCommand
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Show whether a node meets what a file asks for",
		Long: `Check does for a file what explain does for an image: it reads the body of a
compatibility artifact that is not attached to anything yet and evaluates it
against the facts of a node. The dialect is detected by its shape; "-" is stdin.

Exit code 0: the node fits; 3: it does not; 4: it cannot be known; 1: error.`,
		Example: `  imagefit check needs.json
  imagefit check needs.json --facts node-1.json -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	factsFlag(cmd, &c.facts)
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

func (c checkCommand) run(cmd *cobra.Command, file string) error {
	cfg, err := cli.LoadUserConfig(cmd)
	if err != nil {
		return err
	}
	body, err := readBounded(file, cmd.InOrStdin(), maxSpecFile)
	if err != nil {
		return err
	}
	dialect, _ := dialect.Detect("", "", body) // its parser says what is wrong
	known, err := nodeOf(cmd, c.facts)
	if err != nil {
		return fmt.Errorf("read --facts: %w", err)
	}
	evaluator, err := wiring.Evaluator(cfg, known, nil, cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelError))
	if err != nil {
		return err
	}
	checked, err := evaluator.Check(dialect, body)
	if err != nil {
		return fmt.Errorf("%s, read as %s: %w", file, dialect.Name, err)
	}
	err = c.output.Print(cmd.OutOrStdout(), checked, func(b *strings.Builder) {
		file := decision.Candidate{Platform: "this file", Outcome: checked.Outcome, Requirements: checked.Requirements}
		printDecision(b, &decision.Decision{Candidates: []decision.Candidate{file}, Reason: checked.Reason})
	})
	return errors.Join(err, exitOf(checked.Outcome))
}
