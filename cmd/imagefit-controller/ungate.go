package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/pkg/controller"
)

// ungateCommand removes the gate from pods, whether or not a controller runs.
type ungateCommand struct {
	all, keepPolicy bool
	namespace       string
}

func newUngateCommand() *cobra.Command {
	var c ungateCommand
	cmd := &cobra.Command{
		Use:   "ungate",
		Short: "Schedule the pods that wait for the controller",
		Long: `Ungate removes the gate from pods, so that they are scheduled as without the
controller. With --all, it first removes the binding of the admission policy, so
that no more pods are gated: run it before you uninstall imagefit, or where no
controller can run.`,
		Example: `  imagefit-controller ungate --all
  imagefit-controller ungate --all --keep-policy
  imagefit-controller ungate -n team-a`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	cmd.Flags().BoolVar(&c.all, "all", false, "the pods of all namespaces, and no more from now on")
	cmd.Flags().BoolVar(&c.keepPolicy, "keep-policy", false, "with --all: leave the admission policy as it is")
	cmd.Flags().StringVarP(&c.namespace, "namespace", "n", "", "the pods of this `NAMESPACE` only")
	return cmd
}

func (c ungateCommand) run(cmd *cobra.Command) error {
	if c.all == (c.namespace != "") {
		return errors.New("give either --all or --namespace")
	}
	to, err := connect(cmd)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if c.all && !c.keepPolicy {
		removed, err := controller.RemovePolicy(cmd.Context(), to.typed)
		if err != nil {
			return err
		}
		if removed {
			fmt.Fprintf(out, "removed the binding of the admission policy %s: no more pods are gated\n", controller.Policy)
		}
	}
	count := 0
	err = controller.Ungate(cmd.Context(), to.typed, c.namespace, func(pod string) {
		count++
		fmt.Fprintln(out, "released pod", pod)
	})
	if err != nil {
		return fmt.Errorf("released %d pods, but not all: %w", count, err)
	}
	fmt.Fprintf(out, "released %d pods\n", count)
	return nil
}
