package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/install"
)

func newConfigMigrateCommand() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Adapt the configuration to this version, and show the difference",
		Long: `Migrate prints, as a unified diff, what has to change in the file and in each
drop-in so that this version takes them: before an upgrade with the newer
imagefit, before a downgrade with the older one. Keys that it does not know
become comments, and the version becomes its own.

With --write it writes the files, each in one step, and keeps what they were
under their name with .before. Values that are not valid it does not change: they
are printed, as "imagefit config check" does.

Exit code 0: valid now, or with --write; 1: not.`,
		Example: `  imagefit config migrate
  sudo imagefit config migrate --write`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return migrate(cmd, write) },
	}
	cmd.Flags().BoolVar(&write, "write", false, "write the files")
	return cmd
}

func migrate(cmd *cobra.Command, write bool) error {
	src, err := cli.ConfigSources(cmd)
	if err != nil {
		return err
	}
	all, err := src.Migrate()
	if err != nil {
		return err
	}
	valid := true
	for _, m := range all {
		for _, problem := range m.Left {
			valid = false
			cmd.PrintErrf("imagefit: %s\n", oneLine(problem.Error()))
		}
		if !m.Changed() {
			continue
		}
		if _, err := io.WriteString(cmd.OutOrStdout(), install.Diff(m.Path, m.Path, m.Before, m.After)); err != nil {
			return err
		}
		if !write {
			valid = false
			continue
		}
		if err := m.Write(); err != nil {
			return err
		}
	}
	if !valid {
		return cli.ExitError(1)
	}
	return nil
}
