package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/config"
)

// catalogReport writes a page.
type catalogReport struct {
	*database
	html                 string
	facts, before        []string
	arch, where, sinceAt string
}

func newCatalogReportCommand(db *database) *cobra.Command {
	c := catalogReport{database: db}
	cmd := &cobra.Command{
		Use: "report", Short: "Write an HTML page about the images of a catalog and where they run", Args: cobra.NoArgs,
		Long: `Report writes one HTML file that needs nothing else: a matrix of images and
nodes with the variant that each would run, the images that run nowhere,
variants that no node chooses, what has no artifact or a wrong one, and what
changed. With --before, given as often as --facts and in the same order, it
shows what a change of the nodes breaks.`,
		Example: `  imagefit catalog report --html report.html --facts a100.json --facts cpu-only.json
  imagefit catalog report --html upgrade.html --before now.json --facts after.json`,
		RunE: c.run,
	}
	cmd.Flags().StringVar(&c.html, "html", "", "file to write; - is stdout")
	cmd.Flags().StringArrayVar(&c.facts, "facts", nil, "facts of a node, as in explain; can be repeated (this node)")
	cmd.Flags().StringArrayVar(&c.before, "before", nil, "facts of the same node before a change")
	cmd.Flags().StringVar(&c.arch, "arch", "", "architecture of the nodes, if their facts do not tell it")
	cmd.Flags().StringVar(&c.sinceAt, "since", "30d", "show what changed since this time")
	whereFlag(cmd, &c.where)
	_ = cmd.MarkFlagRequired("html") // the flag exists
	return cmd
}

func (c *catalogReport) run(cmd *cobra.Command, _ []string) error {
	e, err := catalog.ParseExpression(c.where)
	if err != nil {
		return syntaxError(cmd, err)
	}
	since, err := catalog.ParseTime(c.sinceAt, time.Now())
	if err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	if len(c.before) > 0 && len(c.before) != len(c.facts) {
		return errors.New("--before is needed for each --facts, in the same order")
	}
	ctx := cmd.Context()
	nodes, err := nodesOf(ctx, cmd, c.facts, c.arch)
	if err != nil {
		return err
	}
	return c.read(cmd, func(db *catalog.Catalog, cfg config.Config) error {
		on, err := newOnCatalog(cmd, cfg, db)
		if err != nil {
			return err
		}
		r := catalog.Report{Catalog: db, What: e, Since: since}
		if len(c.before) > 0 {
			before, err := nodesOf(ctx, cmd, c.before, c.arch)
			if err != nil {
				return err
			}
			if r.Matrix, err = db.Evaluate(ctx, on.placement, on.rules, e, append(before, nodes...)); err != nil {
				return err
			}
			r.Before, r.Matrix = r.Matrix.Split(len(before))
		} else if r.Matrix, err = db.Evaluate(ctx, on.placement, on.rules, e, nodes); err != nil {
			return err
		}
		var b bytes.Buffer
		if err := r.Write(ctx, &b); err != nil {
			return err
		}
		if c.html == "-" {
			_, err := cmd.OutOrStdout().Write(b.Bytes())
			return err
		}
		return fsutil.WriteAtomic(c.html, fsutil.WriteOptions{Mode: 0o644}, fsutil.Bytes(b.Bytes()))
	})
}
