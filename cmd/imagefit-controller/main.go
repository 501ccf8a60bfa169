// Command imagefit-controller places the pods of a Kubernetes cluster on nodes that a
// variant of their images fits.
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
	"github.com/imagefit/imagefit/pkg/controller"
)

// version is set at link time with -ldflags "-X main.version=...".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newRootCommand()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", controller.Program, strings.ReplaceAll(err.Error(), "\n", "; "))
		if _, failed := errors.AsType[failedError](err); failed {
			return controller.ExitInstallFailed
		}
		return 1
	}
	return 0
}

func newRootCommand() *cobra.Command {
	var c serveCommand
	cmd := &cobra.Command{
		Use:   controller.Program,
		Short: "Place pods on nodes that a variant of their images fits",
		Long: `imagefit-controller runs in a Kubernetes cluster. An admission policy gates new
pods; the controller finds out what their images need, keeps them off the classes
of nodes that no variant fits, prefers the nodes with the best variant, and removes
the gate. A pod waits for the registries for controller.timeout at most.

Several instances may run: one places pods, the others replace it when it is gone.`,
		Example: `  imagefit-controller
  imagefit-controller --kubeconfig ~/.kube/config --leader-elect=false
  imagefit-controller ungate --all`,
		Args: cobra.NoArgs, Version: cli.BuildVersion(version),
		SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	cli.ConfigFlags(cmd, cmd.PersistentFlags())
	cmd.PersistentFlags().String(kubeconfigFlag, "", "kubeconfig `FILE` (default: the pod's service account, else KUBECONFIG or ~/.kube/config)")
	_ = cobra.MarkFlagFilename(cmd.PersistentFlags(), kubeconfigFlag) // the flag exists
	cmd.Flags().BoolVar(&c.leaderElect, "leader-elect", true, "place pods only while this instance has the lease")
	cmd.Flags().StringVar(&c.namespace, "namespace", "", "`NAMESPACE` of the lease (default: that of the pod, else imagefit)")
	cmd.AddCommand(newUngateCommand(), newReportCommand(), newInstallNodeCommand(), newAwaitNodesCommand(), newEnterHostCommand())
	return cmd
}
