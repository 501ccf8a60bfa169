package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// Command is the command line of a daemon.
type Command struct {
	cli.Program

	Version string
	// Run is the program itself; it returns soon after ctx ends.
	Run func(ctx context.Context, d *Daemon) error
}

// maxError bounds an error in the log.
const maxError = 16 << 10

// Execute runs the daemon until SIGTERM or SIGINT and returns the exit code.
func (c Command) Execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	cmd := c.cobra(stderr)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", c.Name, oneLine(err))
		return 1
	}
	return 0
}

func (c Command) cobra(stderr io.Writer) *cobra.Command {
	cmd := c.Command(c.Version)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.start(cmd, stderr) }
	return cmd
}

func (c Command) start(cmd *cobra.Command, stderr io.Writer) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // first of all: its default action ends the program
	defer signal.Stop(hangup)
	src, err := cli.ConfigSources(cmd)
	if err != nil {
		return err
	}
	usable := src.LoadUsable(c.Name)
	cfg, level := usable.Config, new(slog.LevelVar)
	level.Set(logLevel(cfg))
	log := cli.NewLogger(stderr, cfg.LogFormat, level)
	log.Info("starting", "program", c.Name, "version", cmd.Version, "mode", cfg.Policy.Mode)
	d, err := Open(cmd.Context(), Options{
		Program: c.Name, Version: cmd.Version, Sources: src, Config: cfg, Log: log, Level: level, Reload: hangup,
	})
	if err != nil {
		return err
	}
	d.startedWith(usable)
	defer warnOfAnother(c.Name, cfg.StateDir, log)()
	d.Systemd = systemd.Connect(log)
	return c.Run(cmd.Context(), d)
}

// logLevel is the configured level, which validation has checked.
func logLevel(cfg config.Config) (level slog.Level) {
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// oneLine bounds an error of several lines, as an invalid configuration has.
func oneLine(err error) string { return textutil.Line(err.Error(), maxError) }
