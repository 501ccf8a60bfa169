package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/author/convert"
)

// exitLost is the exit code of convert when part of the meaning is lost.
const exitLost = 3

// convertCommand writes what an image asks for in another dialect.
type convertCommand struct {
	specs string
	to    string
	write string
	force bool
	lossy bool
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

Not every dialect can express everything: attributes have no alternatives, and NFD
has no GPUs. What would be lost is printed on stderr; then nothing is written and
the exit code is 3, unless you accept that with --lossy.

Exit code 0: written; 3: something would be lost; 1: error.`,
		Example: `  imagefit convert needs.json --to nfd-v1alpha1
  imagefit convert rules.yaml --to proposal-f --lossy -w needs.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	cli.OneOf(cmd, &c.to, "to", "", "dialect to write", convert.Targets())
	_ = cmd.MarkFlagRequired("to") // the flag exists
	cmd.Flags().BoolVar(&c.lossy, "lossy", false, "write it even where something is lost")
	writeFlags(cmd, &c.write, &c.force)
	specsFlag(cmd, &c.specs)
	return cmd
}

func writeFlags(cmd *cobra.Command, name *string, force *bool) {
	cmd.Flags().StringVarP(name, "write", "w", "", "write to this file, not to stdout")
	cmd.Flags().BoolVar(force, "force", false, "with -w, replace an existing file")
}

func (c convertCommand) run(cmd *cobra.Command, file string) error {
	specs, err := loadSpecs(cmd, c.specs)
	if err != nil {
		return err
	}
	body, err := readBounded(file, cmd.InOrStdin(), maxSpecFile)
	if err != nil {
		return err
	}
	written, err := convert.Body(specs, body, c.to)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := sayWritten(cmd.ErrOrStderr(), written); err != nil {
		return err
	}
	if len(written.Lost) > 0 && !c.lossy {
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), "nothing was written; --lossy writes the rest")
		if err != nil {
			return err
		}
		return cli.ExitError(exitLost)
	}
	return output(cmd, c.write, c.force, written.Body)
}

func sayWritten(w io.Writer, written *convert.Written) error {
	for _, lost := range written.Lost {
		if _, err := fmt.Fprintf(w, "lost: %s\n", printable(lost)); err != nil {
			return err
		}
	}
	for _, note := range written.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", printable(note)); err != nil {
			return err
		}
	}
	return nil
}

// output writes to a file, or to stdout where none is named.
func output(cmd *cobra.Command, name string, force bool, body []byte) error {
	if name == "" {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	err := fsutil.WriteAtomic(name, fsutil.WriteOptions{Mode: 0o644, Sync: true, New: true}, fsutil.Bytes(body))
	if force && errors.Is(err, fs.ErrExist) {
		return fsutil.ReplaceFile(name, body)
	}
	return err
}
