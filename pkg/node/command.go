package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/pkg/config"
)

// Daemon is one of the two programs that run on every node.
type Daemon struct {
	Name, Short, Long string
	Version           string
	Run               func(ctx context.Context, cfg config.Config, log *slog.Logger) error
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
	var path string
	cmd := &cobra.Command{
		Use: d.Name, Short: d.Short, Long: d.Long,
		Version: BuildVersion(d.Version),
		Args:    cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			log, err := Logger(stderr, cfg.LogLevel)
			if err != nil {
				return err
			}
			log.Info("starting", "program", d.Name, "version", cmd.Version, "mode", cfg.Policy.Mode)
			return d.Run(cmd.Context(), cfg, log)
		},
	}
	cmd.Flags().StringVar(&path, "config", config.DefaultPath, "configuration file, the same for all imagefit programs")
	return cmd
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
