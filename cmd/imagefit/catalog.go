package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/placement"
)

// Formats of the tables that the commands of a catalog print.
const (
	tableOutput cli.Output = "table"
	csvOutput   cli.Output = "csv"
)

// catalogEnv names the catalog where --db does not.
const catalogEnv = "IMAGEFIT_CATALOG"

func newCatalogCommand() *cobra.Command {
	db := &database{}
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "Keep a database of what images need, and ask it",
		Long: `A catalog is a database of images with what they need, made from their indexes,
configs and compatibility artifacts: no layer is pulled. It answers which images
run on a node, which stop running when its driver or kernel changes, which have
no metadata, and what changed since a day.

Begin with a source, and read it:
  imagefit catalog add registry.example/team
  imagefit catalog sync
  imagefit catalog query 'requires kernel.version >= 6'

The catalog is a file of SQLite, or a PostgreSQL database that several people
use.`,
	}
	cmd.PersistentFlags().StringVar(&db.target, "db", "", "file, or postgres:// URL, of the catalog (catalog.db in state_dir, or $"+catalogEnv+")")
	return group(cmd,
		newCatalogAddCommand(db), newCatalogSourcesCommand(db), newCatalogRemoveCommand(db), newCatalogSyncCommand(db),
		newCatalogQueryCommand(db), newCatalogWhoFitsCommand(db), newCatalogUnfitCommand(db), newCatalogWhatIfCommand(db),
		newCatalogUnusedCommand(db), newCatalogBestCommand(db), newCatalogDiffCommand(db), newCatalogShowCommand(db),
		newCatalogStatsCommand(db), newCatalogSQLCommand(db), newCatalogReportCommand(db),
		newCatalogPlanCommand(db), newCatalogMirrorCommand(db), newCatalogPrefetchCommand(db),
		newCatalogExportCommand(db), newCatalogPushCommand(db), newCatalogPullCommand(db), newCatalogListenCommand(db),
		newCatalogPruneCommand(db))
}

// database is which catalog a command uses.
type database struct{ target string }

// at is where the catalog is.
func (d *database) at(cfg config.Config) string {
	if d.target != "" {
		return d.target
	}
	if target := os.Getenv(catalogEnv); target != "" {
		return target
	}
	return filepath.Join(cfg.StateDir, "catalog.db")
}

// open opens the catalog. One that a command only reads must exist.
func (d *database) open(cmd *cobra.Command, readOnly bool) (*catalog.Catalog, config.Config, error) {
	cfg, err := cli.LoadUserConfig(cmd)
	if err != nil {
		return nil, cfg, err
	}
	target := d.at(cfg)
	if !readOnly && !catalog.IsPostgres(target) {
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return nil, cfg, fmt.Errorf("make the folder of the catalog: %w", err)
		}
	}
	c, err := catalog.Open(cmd.Context(), target, catalog.Options{ReadOnly: readOnly})
	return c, cfg, err
}

// read runs a function on a catalog that is only read.
func (d *database) read(cmd *cobra.Command, do func(c *catalog.Catalog, cfg config.Config) error) error {
	c, cfg, err := d.open(cmd, true)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return do(c, cfg)
}

// sheet is a table in the format that a person wants.
type sheet struct {
	columns []string
	rows    [][]string
	value   any // for JSON
	empty   string
}

func sheetFlag(cmd *cobra.Command, o *cli.Output) { o.AddFlag(cmd, tableOutput, cli.JSON, csvOutput) }

func (s *sheet) add(cells ...string) { s.rows = append(s.rows, cells) }

func (s *sheet) print(cmd *cobra.Command, o cli.Output) error {
	if o == csvOutput {
		w := csv.NewWriter(cmd.OutOrStdout())
		if err := w.Write(s.columns); err != nil {
			return err
		}
		return w.WriteAll(s.rows) // flushes
	}
	if len(s.rows) == 0 && o == tableOutput && s.empty != "" {
		cmd.PrintErrf("imagefit: %s\n", s.empty)
		return nil
	}
	return o.Print(cmd, s.value, func(b *cli.Console) {
		table := b.Table()
		fmt.Fprintln(table, strings.ToUpper(strings.ReplaceAll(strings.Join(s.columns, "\t"), "_", " ")))
		for _, row := range s.rows {
			cells := slices.Clone(row)
			for i := range cells {
				if cells[i] = decision.Line(cells[i]); cells[i] == "" {
					cells[i] = "-"
				}
			}
			fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
		table.Flush()
	})
}

// onNodes is what evaluates the images of a catalog.
type onNodes struct {
	rules     *decision.Rules
	decisions *decision.Evaluator
	placement *placement.Evaluator
}

func newOnNodes(cmd *cobra.Command, cfg config.Config) (*onNodes, error) {
	log := cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelError)
	rules, err := wiring.Rules(cfg, log)
	if err != nil {
		return nil, err
	}
	decisions, err := wiring.Evaluator(cfg, facts.New("", "", facts.NewFeatures()), nil, log)
	if err != nil {
		return nil, err
	}
	return &onNodes{rules, decisions, placement.New(decisions, rules)}, nil
}

// newOnCatalog is newOnNodes for the images of a catalog. It tells of keys of which the
// catalog does not know what they signed.
func newOnCatalog(cmd *cobra.Command, cfg config.Config, c *catalog.Catalog) (*onNodes, error) {
	on, err := newOnNodes(cmd, cfg)
	if err != nil || !on.rules.Trust.AnySigned() {
		return on, err
	}
	unknown, err := c.UnknownKeys(cmd.Context(), on.rules.Trust)
	if len(unknown) > 0 {
		cmd.PrintErrf("imagefit: the catalog does not know what %s signed, which counts as unsigned: imagefit catalog sync with these trust.keys finds out\n",
			decision.Line(strings.Join(unknown, ", ")))
	}
	return on, err
}

// nodesOf loads the facts of nodes: of a file with many all of them. Without any file it is
// this node.
func nodesOf(ctx context.Context, cmd *cobra.Command, files []string, arch string) ([]catalog.Node, error) {
	if len(files) == 0 {
		files = []string{live}
	}
	loader, err := newFactsLoader(cmd, arch)
	if err != nil {
		return nil, err
	}
	hosts, err := loader.loadAll(ctx, files)
	if err != nil {
		return nil, fmt.Errorf("read --facts: %w", err)
	}
	nodes := make([]catalog.Node, len(hosts))
	for i, host := range hosts {
		nodes[i] = catalog.Node{Name: host.Name, Facts: host.Facts}
	}
	return nodes, nil
}

// whereFlag adds the flag that says which images are looked at.
func whereFlag(cmd *cobra.Command, where *string) {
	cmd.Flags().StringVar(where, "where", "", "only images that match this query, such as 'name ~ \"*lammps*\"'")
}
