package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/document"
)

// explainWrongUse makes a command and those below it say what may be meant by a wrong
// command or flag, how they are used, and what is wrong with a file in plain words.
func explainWrongUse(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		explainWrongUse(c)
	}
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error {
			switch err := args(cmd, given); {
			case err == nil:
				return nil
			case cmd.HasSubCommands():
				return unknownCommand(cmd, given[0])
			default:
				return fmt.Errorf("%s is used as: %s", cmd.CommandPath(), cmd.UseLine())
			}
		}
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
		if !ok {
			return err
		}
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := textutil.Nearest(name, known); near != "" {
			return fmt.Errorf("unknown flag --%s of %s (is --%s meant?)", name, cmd.CommandPath(), near)
		}
		return fmt.Errorf("unknown flag --%s of %s: %s --help lists its flags", name, cmd.CommandPath(), cmd.CommandPath())
	})
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if err == nil {
				return nil
			}
			if plain := document.Plain(err.Error()); plain != err.Error() {
				return errors.New(plain)
			}
			return err
		}
	}
}

// unknownCommand says which command may be meant.
func unknownCommand(cmd *cobra.Command, given string) error {
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	text := fmt.Sprintf("unknown command %q of %s", textutil.Short(given), cmd.CommandPath())
	if near := textutil.Nearest(given, known); near != "" {
		return fmt.Errorf("%s (is %s meant?)", text, near)
	}
	return fmt.Errorf("%s: there are %s", text, strings.Join(known, ", "))
}
