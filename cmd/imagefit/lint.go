package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/author/lint"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// exitFindings is how lint ends when it found something.
const exitFindings = 3

// lintCommand looks for mistakes in what an image asks for.
type lintCommand struct {
	specs, dialect    string
	output            cli.Output
	fix, diff, strict bool
}

func newLintCommand() *cobra.Command {
	var c lintCommand
	cmd := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Find mistakes in what an image asks for",
		Long: `Lint reads bodies of compatibility artifacts, of any dialect that imagefit knows,
artifact manifests, or files of images.d (*.toml), and says what cannot work or is
not what its author wants:

  - features, elements, operators and attributes that do not exist, with the
    name that may be meant
  - values that no node has, such as GenuineIntel where NFD says Intel
  - facts of the machine that the image was built on, such as a CPU model
  - conditions that can never hold together, and versions compared part by part
  - misspelt annotations, empty rules, wrong shapes

--fix corrects what can only be meant in one way: the spelling of values,
operators and annotations, and prefixes. Nothing else in the file changes.
--diff shows what --fix would change, and changes nothing.

Each finding is FILE:ROW:COLUMN: severity: text [code]. What the codes mean is
in docs/authoring.md. "-" is stdin.

Exit code 0: nothing, or warnings only; 3: errors, with --strict also warnings;
1: a file could not be read or written.`,
		Example: `  imagefit lint needs.json
  imagefit lint --diff needs.yaml
  imagefit lint --fix needs.yaml
  imagefit lint --strict -o json specs/*.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: c.run,
	}
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	cmd.Flags().BoolVar(&c.fix, "fix", false, "fix what can only be meant in one way, in the files themselves")
	cmd.Flags().BoolVar(&c.diff, "diff", false, "show what --fix would change, and change nothing")
	cmd.Flags().BoolVar(&c.strict, "strict", false, "treat warnings as errors")
	cli.OneOf(cmd, &c.dialect, "dialect", "", "read the files as this dialect, not as their shape says", dialectNames())
	specsFlag(cmd, &c.specs)
	return cmd
}

// dialectNames are the names of all dialects.
func dialectNames() []string {
	var names []string
	for _, d := range dialect.All() {
		names = append(names, d.Name)
	}
	return names
}

func (c *lintCommand) run(cmd *cobra.Command, files []string) error {
	switch {
	case c.diff && c.output != cli.Text:
		return errors.New("--diff has no JSON or YAML form; each finding says whether --fix corrects it")
	case c.fix && !c.diff && slices.Contains(files, "-"):
		return errors.New("--fix cannot change stdin; use --diff")
	}
	specs, err := loadSpecs(cmd, c.specs)
	if err != nil {
		return err
	}
	linter := lint.New(specs)
	all := []lint.Finding{}
	var failed error
	for _, file := range files {
		findings, err := c.file(cmd, linter, file)
		failed = errors.Join(failed, err)
		all = append(all, findings...)
	}
	if !c.diff {
		err = c.output.Print(cmd, all, func(b *cli.Console) {
			for _, f := range all {
				b.WriteString(printable(f.String()) + "\n")
			}
		})
	}
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(f lint.Finding) bool { return c.strict || f.Severity == lint.Error }) {
		return cli.ExitError(exitFindings)
	}
	return nil
}

// file returns what is wrong with a file, after it was fixed.
func (c lintCommand) file(cmd *cobra.Command, linter *lint.Linter, file string) ([]lint.Finding, error) {
	body, err := readBounded(file, cmd.InOrStdin(), maxSpecFile)
	if err != nil {
		return nil, err
	}
	findings := linter.Lint(file, body, c.dialect)
	if !c.fix && !c.diff {
		return findings, nil
	}
	fixed, n, err := lint.Apply(body, findings)
	if err != nil {
		return findings, fmt.Errorf("%s: %w", file, err)
	}
	if c.diff {
		_, err := io.WriteString(cmd.OutOrStdout(), lint.Diff(file, body, fixed))
		return findings, err
	}
	if n == 0 {
		return findings, nil
	}
	if err := fsutil.ReplaceFile(file, fixed); err != nil {
		return findings, err
	}
	cmd.PrintErrf("%s: %d fixed\n", file, n)
	return linter.Lint(file, fixed, c.dialect), nil
}
