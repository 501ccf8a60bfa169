package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/preflight"
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
	return group(cmd, newConfigCheckCommand(), newConfigDumpCommand(), newConfigSchemaCommand(), newConfigMigrateCommand(),
		printing(config.Example(), &cobra.Command{
			Use:     "default",
			Short:   "Print a configuration file with every key, its default, and what it means",
			Example: `  imagefit config default > /etc/imagefit/config.toml`,
		}))
}

func newConfigCheckCommand() *cobra.Command {
	var c configCheck
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check whether the configuration is valid, and print every mistake",
		Long: `Check loads the configuration as a daemon would, with FILE for --config, and
prints whether it is valid. All mistakes are printed at once, each with its
file, row, column and key, or its variable or flag. The environment is that of
your shell, which may differ from a daemon's.

With --live it also compares the configuration with this node, and prints what to
do about each difference: sockets, the kubelet's image endpoint, NRI, directories
of hosts.toml files, HTTP proxies, ports, the state directory. Run it as root.

Exit code 0: valid; 1: not; 3: valid, and --live found a problem.`,
		Example: `  imagefit config check
  sudo imagefit config check --live
  imagefit config check ./config.toml --config-dir ./conf.d
  imagefit config check -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.run,
	}
	cmd.Flags().BoolVar(&c.live, "live", false, "also check what is on this node")
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// configCheck checks the configuration.
type configCheck struct {
	live   bool
	output cli.Output
}

// exitProblem is the exit code when the node is not as the configuration says.
const exitProblem = 3

// configReport is what "config check -o json" prints.
type configReport struct {
	Valid    bool             `json:"valid"`
	File     string           `json:"file"`
	Read     []string         `json:"read,omitempty"`
	Problems []config.Problem `json:"problems,omitempty"`
	// Live is what --live found.
	Live []preflight.Finding `json:"live,omitempty"`
}

func (c *configCheck) run(cmd *cobra.Command, args []string) error {
	src, err := cli.ConfigSources(cmd)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		src.File = args[0]
	}
	usable := src.LoadUsable(decisionlog.Proxy, decisionlog.Plugin)
	report := configReport{Valid: usable.Err == nil, File: src.Path(), Problems: config.Problems(usable.Err)}
	if report.Valid {
		report.Read = usable.Loaded.Files
	}
	if c.live {
		node := preflight.Node{Root: "/", Config: usable.Config, Peer: preflight.Peer}
		report.Live = node.Run(cmd.Context())
	}
	err = c.output.Print(cmd, report, func(b *cli.Console) {
		for _, problem := range report.Problems {
			cmd.PrintErrf("imagefit: %s\n", oneLine(problem.Error()))
		}
		if report.Valid {
			b.WriteString(report.summary())
		}
		printFindings(b, report.Live)
	})
	switch {
	case err != nil:
		return err
	case !report.Valid:
		return cli.ExitError(1)
	case slices.ContainsFunc(report.Live, func(f preflight.Finding) bool { return f.State == preflight.Problem }):
		return cli.ExitError(exitProblem)
	}
	return nil
}

func printFindings(b *cli.Console, findings []preflight.Finding) {
	if len(findings) == 0 {
		return
	}
	b.WriteString("\n")
	table := b.Table()
	for _, f := range findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", b.Paint(styleOf(string(f.State)), string(f.State)), f.Check, oneLine(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(table, "\t\t%s\n", oneLine(f.Fix))
		}
	}
	table.Flush()
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
			return output.Print(cmd, all, func(b *cli.Console) { b.WriteString(loaded.TOML()) })
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
