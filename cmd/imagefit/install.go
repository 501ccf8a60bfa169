package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec" //nolint:depguard // the tool, not a daemon, where the person asks for it by name
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/install"
)

// installCommand sets a node up, or takes imagefit off it.
type installCommand struct {
	root     string
	platform string
	programs string
	dryRun   bool
	force    bool
	keep     bool
	noVerify bool
	timeout  time.Duration
	left     bool // only what was not finished
	output   cli.Output
}

func newInstallCommand() *cobra.Command {
	var c installCommand
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Set this node up: programs, units, configuration, and the kubelet",
		Long: `Install detects the platform of this node, writes the files that it needs,
starts both daemons, and then points the kubelet at cri-proxy. It writes only
files of its own, each in one step, and keeps a record of them; files that a
platform generates are never edited. Run it again after an upgrade: what is
right already stays as it is. A run that was interrupted is finished by the
next one, or undone by "imagefit uninstall".

Before the kubelet is touched, it pulls a test image of two variants through
cri-proxy, from a registry of its own on this node, and sees that the right one
resolves. Then it restarts the kubelet and waits until that calls cri-proxy. If
either fails within --timeout, all of it is taken back. Meanwhile a timer of
systemd guards it: if the installer is killed or the node restarts, what was
not verified is taken back after 15 minutes.

With --dry-run it changes nothing and prints what was detected and by what, a
diff of every file, the units that would restart, and what will not survive an
upgrade of the platform. With --root it prepares the tree of a node below a
directory, such as that of an image, and starts nothing.

Exit code 0: installed; 1: error, or someone else has files where it would
write.`,
		Example: `  sudo imagefit install --dry-run
  sudo imagefit install
  imagefit install --root /mnt/image --programs ./bin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd, (*install.Installer).Install) },
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&c.noVerify, "no-verify", false, "do not wait until it works; nothing is taken back")
	cmd.Flags().DurationVar(&c.timeout, "timeout", install.DefaultTimeout, "how long the daemons, and then the kubelet, may take to work")
	cli.Complete(cmd, "timeout")
	cmd.Flags().StringVar(&c.platform, "platform", "", "the platform, where it cannot be detected: "+strings.Join(install.Names(), ", "))
	cli.Complete(cmd, "platform", install.Names()...)
	cmd.Flags().StringVar(&c.programs, "programs", "", "`DIR` with cri-proxy, nri-plugin and imagefit (default: that of this program)")
	_ = cmd.MarkFlagDirname("programs") // the flag exists
	return cmd
}

func newUninstallCommand() *cobra.Command {
	var c installCommand
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take off this node what imagefit install put there",
		Long: `Uninstall points the kubelet back at the runtime, stops both daemons and
restores every file that "imagefit install" wrote or changed, by its record. If
someone else changed one since, it changes nothing and prints the differences.
Running containers and pulled images stay. Before it stops cri-proxy, it gives
containerd the tags that cri-proxy kept; which names cannot be handed over is
printed. Files of a package belong to the package: remove that afterwards.`,
		Example: `  sudo imagefit uninstall --dry-run
  sudo imagefit uninstall
  imagefit uninstall --root /mnt/image`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd, (*install.Installer).Uninstall) },
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&c.left, "unfinished", false, "only where an installation was not finished, as its guard does")
	cmd.Flags().BoolVar(&c.keep, "keep-state", false, "keep the cache and the decision log in /var/lib/imagefit")
	return cmd
}

func (c *installCommand) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.root, "root", "/", "`DIR` with the tree of a node; other than / nothing is started")
	_ = cmd.MarkFlagDirname("root") // the flag exists
	flags.BoolVar(&c.dryRun, "dry-run", false, "print what would be done, and change nothing")
	flags.BoolVar(&c.force, "force", false, "overwrite or remove files that someone else changed")
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
}

func (c *installCommand) run(cmd *cobra.Command, do func(*install.Installer, context.Context) (install.Result, error)) error {
	live := filepath.Clean(c.root) == "/"
	if live && !c.dryRun && os.Geteuid() != 0 {
		return fmt.Errorf("only root may: try sudo imagefit %s, or --dry-run to see what it would do", cmd.Name())
	}
	i := install.Installer{
		Root: c.root, Platform: c.platform, Programs: c.programs, Version: cmd.Root().Version,
		DryRun: c.dryRun, Force: c.force, KeepState: c.keep, Timeout: c.timeout, Unfinished: c.left,
		Log: func(step string) { cmd.PrintErrln(step) },
	}
	if live {
		i.Systemctl = systemctl
		i.Images = imageNames{load: installedConfig, log: cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelError)}
	}
	if live && !c.noVerify {
		i.Verify = install.Node{Load: installedConfig, Clients: proxyClients}
	}
	if i.Programs == "" {
		own, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the programs: %w", err)
		}
		i.Programs = filepath.Dir(own)
	}
	result, err := do(&i, cmd.Context())
	if conflict, ok := errors.AsType[*install.ConflictError](err); ok {
		cmd.PrintErrf("imagefit: %v", conflict)
		return cli.ExitError(1)
	}
	if err != nil {
		return err
	}
	return c.output.Print(cmd, result, func(b *cli.Console) {
		if c.dryRun {
			b.WriteString(result.Text())
			return
		}
		b.WriteString(doneText(cmd.Name(), result))
	})
}

// doneText says what was done and what is left to do.
func doneText(command string, r install.Result) string {
	switch {
	case command == "uninstall" && len(r.Changes) == 0:
		return "nothing to remove: imagefit install has put nothing here\n"
	case command == "uninstall":
		return fmt.Sprintf("removed: %d files are as they were\n", len(r.Changes)) + strings.Join(append(r.Notes, ""), "\n")
	case len(r.Changes) == 0 && len(r.Paste) > 0:
		return r.Text()
	case len(r.Changes) == 0:
		return "nothing to change\n"
	}
	done := fmt.Sprintf("installed on %s: %d files written; see imagefit doctor\n", r.Platform, len(r.Changes))
	return done + strings.Join(append(r.Notes, ""), "\n")
}

// installedConfig is the configuration that the units use.
func installedConfig() (config.Config, error) {
	loaded, err := config.Sources{}.Load()
	if err != nil {
		return config.Config{}, err
	}
	return loaded.Config, nil
}

// proxyClients are the clients of cri-proxy, by its status.
func proxyClients(ctx context.Context, cfg config.Config) ([]health.ClientStatus, error) {
	status, err := getStatus(ctx, cfg.Proxy.HTTPListen)
	if err != nil {
		return nil, fmt.Errorf("ask cri-proxy for its status: %w", err)
	}
	return status.Clients, nil
}

// systemctl talks to the service manager of this node.
func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, textutil.Line(string(out), 1<<10))
	}
	return nil
}
