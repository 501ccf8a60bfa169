package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/pkg/controller"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// reportAgain is how often the same class is reported again, for where someone removed the
// label or the object.
const reportAgain = 10 * time.Minute

// reportCommand tells the cluster of which class this node is.
type reportCommand struct {
	node       string
	once       bool
	dimensions []string
}

func newReportCommand() *cobra.Command {
	var c reportCommand
	cmd := &cobra.Command{
		Use:   "report-node",
		Short: "Tell the cluster of which class this node is",
		Long: `Report-node collects the facts of the node that it runs on, makes the NodeClass
object for them if there is none, and labels the Node object with its name. It
repeats that when the facts change. It runs in a DaemonSet with the file system of
the node at facts.root.`,
		Example: `  imagefit-controller report-node --set facts.root=/host
  imagefit-controller report-node --node worker-1 --once
  imagefit-controller report-node --dimension kernel.loadedmodule=nvidia,rdma_rxe`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	cmd.Flags().StringVar(&c.node, "node", "", "`NAME` of the Node object (default: the variable NODE_NAME)")
	cmd.Flags().StringArrayVar(&c.dimensions, "dimension", nil,
		"facts that classes have as well, as `SET=ELEMENT[,ELEMENT]`, several times for more: kernel.loadedmodule=nvidia; * is the whole set")
	cmd.Flags().BoolVar(&c.once, "once", false, "report once and end")
	return cmd
}

func (c reportCommand) run(cmd *cobra.Command) error {
	node := cmp.Or(c.node, os.Getenv("NODE_NAME"))
	if node == "" {
		return errors.New("the name of the node is not known: give it with --node or in NODE_NAME")
	}
	dimensions, err := dimensionsOf(c.dimensions)
	if err != nil {
		return err
	}
	s, err := load(cmd)
	if err != nil {
		return err
	}
	to, err := connect(cmd)
	if err != nil {
		return err
	}
	source := hostfacts.NewSource(cmd.Context(), hostfacts.NewRoot(s.cfg.Facts.Root), s.log)
	reporter := controller.Reporter{Client: to.typed, Dynamic: to.dynamic, Node: node, Dimensions: dimensions}
	if c.once {
		class, err := reporter.Report(cmd.Context(), source.Current())
		if err == nil {
			s.log.Info("reported the class of the node", "node", node, "class", class)
		}
		return err
	}
	keepReporting(cmd.Context(), reporter, source, time.Duration(s.cfg.Facts.Refresh), s.log)
	return nil
}

// dimensionsOf reads what --dimension names.
func dimensionsOf(names []string) (nodeclass.Dimensions, error) {
	all := nodeclass.Dimensions{}
	for _, name := range names {
		set, elements, ok := strings.Cut(name, "=")
		if list := strings.Split(elements, ","); ok && set != "" && !slices.Contains(list, "") {
			all.Merge(nodeclass.Dimensions{set: list})
			continue
		}
		return nil, fmt.Errorf("--dimension %q: write SET=ELEMENT, such as kernel.loadedmodule=nvidia", name)
	}
	return all, nil
}

// keepReporting reports the class when the facts have changed, and now and then, until ctx
// ends.
func keepReporting(ctx context.Context, r controller.Reporter, source *hostfacts.Source, every time.Duration, log *slog.Logger) {
	var last *facts.Facts
	var at time.Time
	known := ""
	for {
		if now := source.Current(); now != last || time.Since(at) > reportAgain {
			class, err := r.Report(ctx, now)
			switch {
			case err != nil && ctx.Err() == nil:
				log.Error("cannot report the class of the node, trying again", "node", r.Node, "error", err)
			case err == nil:
				if last, at = now, time.Now(); class != known {
					log.Info("reported the class of the node", "node", r.Node, "class", class)
				}
				known = class
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		source.Refresh(ctx)
	}
}
