package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/selector"
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
Of a file of images.d (*.toml) it evaluates each image that is described.

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
	known, err := nodeOf(cmd, c.facts)
	if err != nil {
		return fmt.Errorf("read --facts: %w", err)
	}
	evaluator, err := wiring.Evaluator(cfg, known, nil, cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelError))
	if err != nil {
		return err
	}
	if filepath.Ext(file) == ".toml" {
		return c.descriptions(cmd, evaluator, file, body)
	}
	dialect, _ := dialect.Detect("", "", body) // its parser says what is wrong
	checked, err := evaluator.Check(dialect, body)
	if err != nil {
		return fmt.Errorf("%s, read as %s: %w", file, dialect.Name, err)
	}
	err = c.output.Print(cmd, checked, func(b *cli.Console) {
		file := decision.Candidate{Platform: "this file", Outcome: checked.Outcome, Requirements: checked.Requirements}
		printDecision(b, &decision.Decision{Candidates: []decision.Candidate{file}, Reason: checked.Reason}, "")
	})
	return errors.Join(err, exitOf(checked.Outcome))
}

// descriptions evaluates each image that a file of images.d describes.
func (c checkCommand) descriptions(cmd *cobra.Command, evaluator *decision.Evaluator, file string, text []byte) error {
	found, err := description.Parse(evaluator.Snapshot().Rules.Interpreter, file, text)
	if err != nil {
		return fmt.Errorf("%s: %s", file, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	outcome := selector.Fits
	var all []*decision.Checked
	var rows decision.Decision
	for _, d := range found {
		checked := evaluator.CheckDescription(d)
		checked.Origin = d.Origin()
		all = append(all, checked)
		rows.Candidates = append(rows.Candidates, decision.Candidate{
			Platform: fmt.Sprintf("row %d", d.Row), Outcome: checked.Outcome, Requirements: checked.Requirements,
		})
		if checked.Outcome == selector.Unfit || outcome == selector.Fits {
			outcome = checked.Outcome
		}
	}
	rows.Reason = map[selector.Outcome]string{
		selector.Fits: "this node meets all requirements of the file", selector.Unfit: "this node does not meet all requirements of the file",
		selector.Unknown: "cannot determine whether this node meets all requirements of the file",
	}[outcome]
	err = c.output.Print(cmd, all, func(b *cli.Console) { printDecision(b, &rows, "") })
	return errors.Join(err, exitOf(outcome))
}
