// Command imagefit is the command line for node operators and image authors: it
// shows what a node offers, what an image requires, and whether they fit.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
)

// version is set at link time with -ldflags "-X main.version=...".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, asVerifier(os.Args[0], os.Args[1:]), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newRootCommand()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if code, ok := errors.AsType[cli.ExitError](err); ok {
		return int(code)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "imagefit: %s\n", oneLine(err.Error()))
		return 1
	}
	return 0
}

// oneLine drops the usage and suggestions that cobra appends to an error.
func oneLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func newRootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "imagefit",
		Short: "Show whether container images fit a node",
		Long: `Imagefit lets a node choose, from a multi-platform image, the variant that fits
it best, and refuse the images that cannot work on it.

An image author attaches compatibility artifacts to the variants of an image:
this one needs AVX2, that one a kernel of 6.8 or later. On the node, imagefit
collects facts under the names of Node Feature Discovery (NFD) and evaluates the
requirements against them. Every fact is present, absent, or unknown: unknown
means that imagefit could not look, with the cause.

Three programs share one configuration file:
  cri-proxy   proxies the container runtime and chooses the variant to pull
  nri-plugin  is a plugin of the runtime and refuses containers that do not fit
  imagefit    this command line, which shows what the other two see and decide

Begin with "imagefit facts" to see what this node offers.`,
		Version:           cli.BuildVersion(version),
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	cli.ConfigFlags(cmd, cmd.PersistentFlags())
	cli.ColorFlag(cmd)
	group(cmd, newFactsCommand(), newExplainCommand(), newCheckCommand(),
		newListCommand(), newAttachCommand(), newKeygenCommand(), newSignCommand(), newVerifySignatureCommand(), newPublishCommand(), newSpecCommand(),
		newCreateCommand(), newLintCommand(), newConvertCommand(), newConfigCommand(),
		newMatchCommand(), newExportCommand(), newStatusCommand(), newDecisionsCommand(), newImagesCommand(),
		newDoctorCommand(), newInstallCommand(), newUninstallCommand(), newVerifyCommand(), newAuditCommand(), newReportCommand(), newCatalogCommand(), newVersionCommand(), newManCommand())
	explainWrongUse(cmd)
	return cmd
}

// printing completes a command that prints a fixed text.
func printing(text string, cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, err := io.WriteString(cmd.OutOrStdout(), text)
		return err
	}
	return cmd
}

// styleOf is the style of a verdict, an action or a state.
func styleOf(word string) cli.Style {
	switch word {
	case "fits", "pulled", "admitted", "same", "ready", "ok":
		return cli.Good
	case "unknown", "tolerated", "unchecked", "other", "newer", "warning", "warn":
		return cli.Unsure
	case "does not fit", "refused", "failed", "unfit", "none", "error", "problem", "fail":
		return cli.Bad
	}
	return cli.Plain
}

// group completes a command that only has others.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(commands...)
	return cmd
}
