package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/catalog"
)

func newCatalogPruneCommand(db *database) *cobra.Command {
	var o cli.Output
	var gone, history string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove from a catalog what went long ago", Args: cobra.NoArgs,
		Long: `Prune removes names that their registry has no longer since a while, or no source
that was not removed, images and artifacts that no name has since then, and what
came, moved or went long ago.
What a name has stays, and nothing is removed from a registry. A sync may run
meanwhile. Run it from a timer, once a month.`,
		Example: `  imagefit catalog prune --dry-run
  imagefit catalog prune --gone 30d --history 1y`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			options := catalog.PruneOptions{DryRun: dryRun}
			var err error
			if options.Gone, err = catalog.ParseTime(gone, now); err != nil {
				return fmt.Errorf("--gone: %w", err)
			}
			if options.History, err = catalog.ParseTime(history, now); err != nil {
				return fmt.Errorf("--history: %w", err)
			}
			c, _, err := db.open(cmd, false)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			p, err := c.Prune(cmd.Context(), options)
			if err != nil {
				return err
			}
			return o.Print(cmd, p, func(b *cli.Console) {
				word := "removed"
				if dryRun {
					word = "would be removed"
				}
				fmt.Fprintf(b, "%s: %d names, %d moves, %d variants, %d artifacts, %d bodies of artifacts, %d manifests\n",
					word, p.Names, p.Moves, p.Variants, p.Artifacts, p.Bodies, p.Manifests)
			})
		},
	}
	cmd.Flags().StringVar(&gone, "gone", "180d", "remove what is gone since before this time, or for so long")
	cmd.Flags().StringVar(&history, "history", "2y", "forget what came, moved or went before this time, or so long ago")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be removed")
	o.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}
