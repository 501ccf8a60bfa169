package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// Daemon is one of the two programs that run on every node.
type Daemon struct {
	Name, Short, Long string
	Version           string
	// Run is the program itself, from its start to the end of ctx.
	Run func(ctx context.Context, n *Node) error
}

// Execute runs the command line of a daemon until SIGTERM or SIGINT and returns
// the exit code.
func (d Daemon) Execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	cmd := d.command(stderr)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", d.Name, strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}

func (d Daemon) command(stderr io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use: d.Name, Short: d.Short, Long: d.Long,
		Version: BuildVersion(d.Version),
		Args:    cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := ConfigSources(cmd)
			if err != nil {
				return err
			}
			loaded, err := src.Load()
			if err != nil {
				return err
			}
			cfg, level := loaded.Config, new(slog.LevelVar)
			level.Set(logLevel(cfg))
			log := Logger(stderr, cfg.LogFormat, level)
			log.Info("starting", "program", d.Name, "version", cmd.Version, "mode", cfg.Policy.Mode)
			n, err := Open(cmd.Context(), Options{
				Program: d.Name, Version: cmd.Version, Sources: src, Config: cfg, Log: log, Level: level,
			})
			if err != nil {
				return err
			}
			n.Manager = systemd.Connect(log)
			return d.Run(cmd.Context(), n)
		},
	}
	ConfigFlags(cmd, cmd.Flags())
	return cmd
}

// The flags that say where the configuration is.
const (
	configFlag    = "config"
	configDirFlag = "config-dir"
	setFlag       = "set"
)

// ConfigFlags gives a command the flags that ConfigSources reads.
func ConfigFlags(cmd *cobra.Command, flags *pflag.FlagSet) {
	flags.String(configFlag, config.DefaultPath, "configuration `FILE`, the same for all imagefit programs")
	flags.String(configDirFlag, "", "`DIR` of drop-ins, *.toml files over the configuration file (default: conf.d beside it)")
	flags.StringArray(setFlag, nil, "`KEY=VALUE` over all files and IMAGEFIT_* variables, as in policy.mode=audit; may be given again")
	_ = cobra.MarkFlagFilename(flags, configFlag, "toml") // the flags exist
	_ = cobra.MarkFlagDirname(flags, configDirFlag)
	_ = cmd.RegisterFlagCompletionFunc(setFlag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return config.Settings(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

// ConfigSources returns the sources of the configuration that the flags and the
// environment name.
func ConfigSources(cmd *cobra.Command) (src config.Sources, err error) {
	if src.File, err = cmd.Flags().GetString(configFlag); err != nil {
		return src, err
	}
	if src.Dir, err = cmd.Flags().GetString(configDirFlag); err != nil {
		return src, err
	}
	src.Set, err = cmd.Flags().GetStringArray(setFlag)
	src.Env = os.Environ()
	return src, err
}

// BuildVersion prefers the version set at link time over what the Go tool
// recorded.
func BuildVersion(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
