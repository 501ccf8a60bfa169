package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// catalogNodes is a question about images on nodes.
type catalogNodes struct {
	*database
	facts  []string
	arch   string
	where  string
	output cli.Output
}

func (c *catalogNodes) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringArrayVar(&c.facts, "facts", nil, "facts of a node, as in explain; can be repeated (this node)")
	cmd.Flags().StringVar(&c.arch, "arch", "", "architecture of the nodes, if their facts do not tell it")
	whereFlag(cmd, &c.where)
	sheetFlag(cmd, &c.output)
	return cmd
}

// ask evaluates the images on the nodes and calls a function with the result.
func (c *catalogNodes) ask(cmd *cobra.Command, files []string, answer func(db *catalog.Catalog, e *catalog.Expression, m *catalog.Matrix) error) error {
	nodes, err := nodesOf(cmd.Context(), cmd, files, c.arch)
	if err != nil {
		return err
	}
	return c.askOn(cmd, nodes, answer)
}

func (c *catalogNodes) askOn(cmd *cobra.Command, nodes []catalog.Node, answer func(db *catalog.Catalog, e *catalog.Expression, m *catalog.Matrix) error) error {
	e, err := catalog.ParseExpression(c.where)
	if err != nil {
		return syntaxError(cmd, err)
	}
	return c.read(cmd, func(db *catalog.Catalog, cfg config.Config) error {
		on, err := newOnCatalog(cmd, cfg, db)
		if err != nil {
			return err
		}
		m, err := db.Evaluate(cmd.Context(), on.placement, on.rules, e, nodes)
		if err != nil {
			return err
		}
		return answer(db, e, m)
	})
}

// print prints the images of a matrix with what is chosen on each node.
func (c *catalogNodes) print(cmd *cobra.Command, m *catalog.Matrix, empty string) error {
	s := sheet{columns: []string{"name"}, value: m, empty: empty}
	s.columns = append(s.columns, m.Nodes...)
	if len(m.Nodes) == 1 {
		s.columns = []string{"name", "verdict", "variant", "reason"}
	}
	for _, l := range m.Images {
		for _, name := range l.Names {
			cells := []string{name}
			for _, v := range l.Verdicts {
				if len(m.Nodes) == 1 {
					cells = append(cells, v.Outcome.String(), v.Platform, v.Reason)
					continue
				}
				cells = append(cells, chosenOr(v.Platform, v.Outcome))
			}
			s.add(cells...)
		}
	}
	return s.print(cmd, c.output)
}

func newCatalogWhoFitsCommand(db *database) *cobra.Command {
	c := catalogNodes{database: db}
	return c.flags(&cobra.Command{
		Use: "who-fits", Short: "List the images of a catalog that run on a node", Args: cobra.NoArgs,
		Long: `Who-fits lists the images that run on this node, or on at least one of the nodes
whose facts are given, with the variant that each would run. Nothing is read
from registries: the answer is as old as the last sync.`,
		Example: `  imagefit catalog who-fits
  imagefit catalog who-fits --facts a100.json --facts cpu-only.json -o csv
  imagefit catalog who-fits --where 'name ~ "*lammps*"'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.ask(cmd, c.facts, func(_ *catalog.Catalog, _ *catalog.Expression, m *catalog.Matrix) error {
				return c.print(cmd, m.Where((*catalog.MatrixLine).FitsSome), "no image of the catalog is known to run there")
			})
		},
	})
}

func newCatalogUnfitCommand(db *database) *cobra.Command {
	c := catalogNodes{database: db}
	return c.flags(&cobra.Command{
		Use: "unfit", Short: "List the images of a catalog that run on none of the nodes", Args: cobra.NoArgs,
		Long: `Unfit lists the images that are known not to run on any of the nodes whose facts
are given, or on this node, with the reasons.`,
		Example: `  imagefit catalog unfit --facts a100.json --facts cpu-only.json
  imagefit catalog unfit -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.ask(cmd, c.facts, func(_ *catalog.Catalog, _ *catalog.Expression, m *catalog.Matrix) error {
				return c.print(cmd, m.Where((*catalog.MatrixLine).FitsNone), "every image of the catalog may run on one of the nodes")
			})
		},
	})
}

func newCatalogWhatIfCommand(db *database) *cobra.Command {
	c := catalogNodes{database: db}
	var changes []string
	cmd := &cobra.Command{
		Use: "what-if [BEFORE [AFTER]]", Short: "List the images that stop running when the facts of a node change", Args: cobra.MaximumNArgs(2),
		Long: `What-if compares the images on a node before and after a change, such as a new
driver or kernel, or on two machine types: which stop running, become uncertain,
run a worse or a better variant, or start to run. BEFORE is this node, or what
--facts of explain accepts; AFTER is the same with other facts, from a file or by
--facts-change.

Exit code 0: no image stops running; 3: some do.`,
		Example: `  imagefit catalog what-if --facts-change nvidia.driver=570.26
  imagefit catalog what-if node.json --facts-change kernel.version=6.12
  imagefit catalog what-if old-node.json new-node.json --where 'source = cluster'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			nodes, err := c.beforeAndAfter(cmd, args, changes)
			if err != nil {
				return err
			}
			return c.askOn(cmd, nodes, func(_ *catalog.Catalog, _ *catalog.Expression, m *catalog.Matrix) error {
				return c.printChanges(cmd, m.Changes())
			})
		},
	}
	cmd.Flags().StringArrayVar(&changes, "facts-change", nil, "`FACT=VALUE` that the node has after the change; repeatable")
	cmd.Flags().StringVar(&c.arch, "arch", "", "architecture of the nodes, if their facts do not tell it")
	whereFlag(cmd, &c.where)
	sheetFlag(cmd, &c.output)
	return cmd
}

// beforeAndAfter returns the node before and after the change.
func (c *catalogNodes) beforeAndAfter(cmd *cobra.Command, args, changes []string) ([]catalog.Node, error) {
	if len(args) < 2 && len(changes) == 0 {
		return nil, errors.New("what changes? name a file with the facts after the change, or use --facts-change FACT=VALUE")
	}
	nodes, err := nodesOf(cmd.Context(), cmd, args, c.arch)
	if err != nil {
		return nil, err
	}
	if len(nodes) != max(1, len(args)) {
		return nil, errors.New("what-if compares one node with one: a file has several, name one as FILE#NODE")
	}
	if len(nodes) == 1 {
		nodes = append(nodes, nodes[0])
	}
	if len(changes) > 0 {
		if nodes[1].Facts, err = hostfacts.Change(nodes[1].Facts, changes...); err != nil {
			return nil, fmt.Errorf("--facts-change: %w", err)
		}
	}
	return nodes, nil
}

func (c *catalogNodes) printChanges(cmd *cobra.Command, changes []catalog.WhatIf) error {
	s := sheet{columns: []string{"change", "name", "before", "after", "reason"}, value: changes, empty: "nothing changes for any image of the catalog"}
	stops := false
	for _, change := range changes {
		stops = stops || change.Change == "stops"
		reason := ""
		if change.After.Outcome != selector.Fits {
			reason = change.After.Reason
		}
		for _, name := range change.Names {
			s.add(change.Change, name, chosenOr(change.Before.Platform, change.Before.Outcome), chosenOr(change.After.Platform, change.After.Outcome), reason)
		}
	}
	if err := s.print(cmd, c.output); err != nil {
		return err
	}
	if stops {
		return cli.ExitError(3)
	}
	return nil
}

func chosenOr(platform string, o selector.Outcome) string {
	if platform != "" && o == selector.Fits {
		return platform
	}
	return o.String()
}

func newCatalogUnusedCommand(db *database) *cobra.Command {
	c := catalogNodes{database: db}
	return c.flags(&cobra.Command{
		Use: "unused", Short: "List the variants of a catalog that none of the nodes would choose", Args: cobra.NoArgs,
		Example: `  imagefit catalog unused --facts a100.json --facts cpu-only.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.ask(cmd, c.facts, func(db *catalog.Catalog, e *catalog.Expression, m *catalog.Matrix) error {
				rows, err := db.Query(cmd.Context(), e, 0)
				if err != nil {
					return err
				}
				all := m.Unchosen(rows)
				s := sheet{columns: []string{"name", "platform", "variant", "size"}, value: all, empty: "every variant would be chosen on a node"}
				for _, u := range all {
					s.add(strings.Join(u.Names, " "), u.Platform, u.Variant.String(), sizeOf(u.Size, c.output))
				}
				return s.print(cmd, c.output)
			})
		},
	})
}

func newCatalogBestCommand(db *database) *cobra.Command {
	c := catalogNodes{database: db}
	cmd := &cobra.Command{
		Use: "best TEXT", Short: "Rank the images of a catalog with a text in their name on a node", Args: cobra.ExactArgs(1),
		Long: `Best lists the images whose names contain a text and that run on this node, or
on the one whose facts are given, the best first: as a pull would order them if
they were the variants of one image.`,
		Example: `  imagefit catalog best lammps
  imagefit catalog best lammps --facts a100.json -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(c.facts) > 1 {
				return errors.New("best ranks on one node: give --facts once")
			}
			nodes, err := nodesOf(cmd.Context(), cmd, c.facts, c.arch)
			if err != nil {
				return err
			}
			e, err := catalog.ParseExpression(withText(args[0], c.where))
			if err != nil {
				return syntaxError(cmd, err)
			}
			return c.read(cmd, func(db *catalog.Catalog, cfg config.Config) error {
				on, err := newOnCatalog(cmd, cfg, db)
				if err != nil {
					return err
				}
				ranked, err := db.Best(cmd.Context(), on.decisions, on.rules, e, nodes[0].Facts)
				if err != nil {
					return err
				}
				s := sheet{columns: []string{"rank", "name", "variant", "verdict"}, value: ranked, empty: "no such image of the catalog runs there"}
				for i, r := range ranked {
					s.add(fmt.Sprint(i+1), r.Name, r.Platform, r.Outcome.String())
				}
				return s.print(cmd, c.output)
			})
		},
	}
	return c.flags(cmd)
}

// withText is an expression for names with a text in them.
func withText(text, where string) string {
	quote := `"`
	if strings.Contains(text, quote) {
		quote = "'"
	}
	e := "name ~ " + quote + "*" + text + "*" + quote
	if where != "" {
		e += " and (" + where + ")"
	}
	return e
}
