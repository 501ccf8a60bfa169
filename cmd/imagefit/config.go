package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show and check the configuration of this node",
		Long: `cri-proxy, nri-plugin and imagefit share one configuration. It is read from
these sources; later ones override earlier ones:

  defaults           imagefit config default
  the file           /etc/imagefit/config.toml, or --config FILE
  drop-ins           conf.d/*.toml beside it by name, or --config-dir DIR
  the environment    IMAGEFIT_POLICY_MODE=audit
  the command line   --set policy.mode=audit

Tables are merged, values and lists are replaced. An unknown key is an error in
any of them. Only the file has to state version = 1. Daemons reload all sources
on SIGHUP.`,
		Example: `  imagefit config check
  imagefit config dump
  imagefit config dump --set policy.mode=audit`,
	}
	return group(cmd, newConfigCheckCommand(), newConfigDumpCommand(), newConfigSchemaCommand(),
		printing(config.Example(), &cobra.Command{
			Use:     "default",
			Short:   "Print a configuration file with every key, its default, and what it means",
			Example: `  imagefit config default > /etc/imagefit/config.toml`,
		}))
}

func newConfigCheckCommand() *cobra.Command {
	var output cli.Output
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check whether the configuration is valid, and print every mistake",
		Long: `Check loads the configuration as a daemon would, with FILE for --config, and
prints whether it is valid. All mistakes are printed at once, each with its
file, row, column and key, or its variable or flag. The environment is that of
your shell, which may differ from a daemon's.

Exit code 0: valid; 1: not.`,
		Example: `  imagefit config check
  imagefit config check ./config.toml --config-dir ./conf.d
  imagefit config check -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return checkConfig(cmd, args, output) },
	}
	output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// configReport is what "config check -o json" prints.
type configReport struct {
	Valid    bool             `json:"valid"`
	File     string           `json:"file"`
	Read     []string         `json:"read,omitempty"`
	Problems []config.Problem `json:"problems,omitempty"`
}

func checkConfig(cmd *cobra.Command, args []string, output cli.Output) error {
	src, err := cli.ConfigSources(cmd)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		src.File = args[0]
	}
	loaded, err := src.Load()
	report := configReport{Valid: err == nil, File: src.Path()}
	if err == nil {
		report.Read = loaded.Files
	} else {
		report.Problems = config.Problems(err)
	}
	err = output.Print(cmd.OutOrStdout(), report, func(b *strings.Builder) {
		for _, problem := range report.Problems {
			cmd.PrintErrf("imagefit: %s\n", oneLine(problem.Error()))
		}
		if report.Valid {
			b.WriteString(report.summary())
		}
	})
	if err == nil && !report.Valid {
		return cli.ExitError(1)
	}
	return err
}

func (r configReport) summary() string {
	what, dropIns, word := r.File, len(r.Read)-1, "drop-ins"
	if len(r.Read) == 0 || r.Read[0] != r.File {
		what, dropIns = "the defaults (there is no "+r.File+")", len(r.Read)
	}
	if dropIns == 1 {
		word = "drop-in"
	}
	return fmt.Sprintf("%s and %d %s are valid\n", what, dropIns, word)
}

func newConfigDumpCommand() *cobra.Command {
	var output cli.Output
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print the configuration in effect, and where each value was set",
		Long: `Dump loads the configuration as a daemon would and prints it as one equivalent
file. The comment behind each value is its origin: FILE:ROW, env NAME, --set
KEY, or default. With -o json it is {key: {value, origin}}.`,
		Example: `  imagefit config dump
  imagefit config dump -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := cli.ConfigSources(cmd)
			if err != nil {
				return err
			}
			loaded, err := src.Load()
			if err != nil {
				return err
			}
			all := map[string]valueAndOrigin{}
			for _, v := range loaded.Values() {
				all[v.Key()] = valueAndOrigin{v.Value, v.Origin}
			}
			return output.Print(cmd.OutOrStdout(), all, func(b *strings.Builder) { b.WriteString(loaded.TOML()) })
		},
	}
	output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

type valueAndOrigin struct {
	Value  any    `json:"value"`
	Origin string `json:"origin"`
}

func newConfigSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file, for editors",
		Long: `Schema prints a JSON Schema (draft 2020-12) of the configuration file, with
which editors complete and check TOML. "imagefit config check" also checks what
a schema cannot express.`,
		Example: `  imagefit config schema > imagefit.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.WriteJSON(cmd.OutOrStdout(), config.Schema())
		},
	}
}
