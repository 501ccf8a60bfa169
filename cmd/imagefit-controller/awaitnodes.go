package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/pkg/controller"
)

// awaitNodesCommand waits until all pods of a DaemonSet are ready.
type awaitNodesCommand struct {
	rollout controller.Rollout
	timeout time.Duration
}

func newAwaitNodesCommand() *cobra.Command {
	var c awaitNodesCommand
	cmd := &cobra.Command{
		Use:   "await-nodes",
		Short: "Wait until install-node is done on all nodes",
		Long: `Await-nodes waits until every node that a DaemonSet is for has a pod of it that is
ready, and prints how many there are. The chart runs it after helm uninstall, until
imagefit is off all nodes.`,
		Example: `  imagefit-controller await-nodes --daemonset imagefit-uninstall --timeout 10m`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	cmd.Flags().StringVar(&c.rollout.Name, "daemonset", "imagefit-install", "`NAME` of the DaemonSet")
	cmd.Flags().StringVar(&c.rollout.Namespace, "namespace", "", "`NAMESPACE` of the DaemonSet (default: that of the own pod)")
	cmd.Flags().DurationVar(&c.timeout, "timeout", 10*time.Minute, "how long it waits")
	return cmd
}

func (c awaitNodesCommand) run(cmd *cobra.Command) error {
	c.rollout.Namespace = cmp.Or(c.rollout.Namespace, ownNamespace())
	to, err := connect(cmd)
	if err != nil {
		return err
	}
	c.rollout.Client = to.typed
	ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
	defer cancel()
	for last := ""; ; {
		done, now, err := c.rollout.Done(ctx)
		if err != nil {
			now = err.Error()
		}
		if now != last {
			cmd.Println(now)
		}
		if last = now; done && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the DaemonSet %s: %s", c.rollout.Name, now)
		case <-time.After(time.Second):
		}
	}
}
