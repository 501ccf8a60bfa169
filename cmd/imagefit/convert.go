package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/author/convert"
)

// exitLost is the exit code of convert when part of the meaning is lost.
const exitLost = 3

// convertCommand writes what an image asks for in another dialect.
type convertCommand struct {
	specs, to string
	variant   string
	out       outputFile
	lossy     bool
}

func newConvertCommand() *cobra.Command {
	var c convertCommand
	cmd := &cobra.Command{
		Use:   "convert FILE --to DIALECT",
		Short: "Write what an image asks for in another dialect",
		Long: `Convert reads the body of a compatibility artifact and writes it in another
dialect, so that the result requires the same of a node. The dialect of FILE is
detected by its shape; "-" is stdin.

  proposal-f     attributes by group, of the OCI image compatibility proposal F
  nfd-v1alpha1   rules of Node Feature Discovery, YAML
  compspec       attributes of compspec and of proposal D

The variant.json of a Python wheel, or the variants.json of a release (PEP 825),
is read as well: --variant picks one of several.

Not every dialect can express everything: attributes have no alternatives, and NFD
has no GPUs. What would be lost is printed on stderr; then nothing is written and
the exit code is 3, unless you accept that with --lossy.

Exit code 0: written; 3: something would be lost; 1: error.`,
		Example: `  imagefit convert needs.json --to nfd-v1alpha1
  imagefit convert rules.yaml --to proposal-f --lossy -w needs.json
  imagefit convert torch-2.9-variants.json --variant cu128 --to proposal-f`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	cli.OneOf(cmd, &c.to, "to", "", "dialect to write", convert.Targets())
	cmd.Flags().StringVar(&c.variant, "variant", "", "label of the variant of a Python package (PEP 825)")
	cmd.Flags().BoolVar(&c.lossy, "lossy", false, "write it even where something is lost")
	c.out.addFlags(cmd)
	specsFlag(cmd, &c.specs)
	return cmd
}

func (c convertCommand) run(cmd *cobra.Command, file string) error {
	if c.to == "" {
		return fmt.Errorf("--to is needed, the dialect to write: %s", strings.Join(convert.Targets(), ", "))
	}
	specs, err := loadSpecs(cmd, c.specs)
	if err != nil {
		return err
	}
	body, err := readBounded(file, cmd.InOrStdin(), maxSpecFile)
	if err != nil {
		return err
	}
	var written *convert.Written
	if c.variant != "" {
		written, err = convert.Variant(specs, body, c.variant, c.to)
	} else {
		written, err = convert.Body(specs, body, c.to)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	printEach(cmd, "lost", written.Lost)
	printEach(cmd, "note", written.Notes)
	if len(written.Lost) > 0 && !c.lossy {
		cmd.PrintErrln("nothing was written; --lossy writes the rest")
		return cli.ExitError(exitLost)
	}
	return c.out.write(cmd, written.Body)
}

// printEach prints texts on stderr, one line each.
func printEach(cmd *cobra.Command, label string, texts []string) {
	for _, text := range texts {
		cmd.PrintErrf("%s: %s\n", label, printable(text))
	}
}

// outputFile is where a command writes a file that it made.
type outputFile struct {
	name  string // "" is stdout
	force bool
}

func (o *outputFile) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.name, "write", "w", "", "write to this file, not to stdout")
	cmd.Flags().BoolVar(&o.force, "force", false, "with -w, replace an existing file")
}

func (o *outputFile) write(cmd *cobra.Command, body []byte) error {
	if o.name == "" {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	err := fsutil.WriteAtomic(o.name, fsutil.WriteOptions{Mode: 0o644, Sync: true, New: true}, fsutil.Bytes(body))
	if o.force && errors.Is(err, fs.ErrExist) {
		return fsutil.ReplaceFile(o.name, body)
	}
	return err
}
