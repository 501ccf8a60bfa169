package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/config"
)

func newCatalogQueryCommand(db *database) *cobra.Command {
	var o cli.Output
	var limit int
	cmd := &cobra.Command{
		Use:   "query [EXPRESSION]",
		Short: "Find images in a catalog by what they need, their names and dates",
		Long: `Query lists the variants of images that an expression describes. Conditions are
joined with and, or, not and parentheses:

` + fieldHelp() + `
Attributes come after a verb, under the names of facts: requires kernel.version
>= 6 finds what runs on 6 or newer only. The other verbs are prefers, excludes,
states (as the author wrote it: group/key) and mentions. A set means all of its
elements, as in requires gpu.nvidia, and * and ? match any text.

Times are dates, or how long ago: created > 30d is newer than 30 days. The shell
completes fields, and the attributes that the catalog has.`,
		Example: `  imagefit catalog query 'requires gpu.nvidia.cuda_version >= 12'
  imagefit catalog query 'requires mpi.host.implementation = openmpi'
  imagefit catalog query 'artifacts = 0 and name ~ "*lammps*"'
  imagefit catalog query 'moved > 7d' -o json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := catalog.ParseExpression(strings.Join(args, " "))
			if err != nil {
				return syntaxError(cmd, err)
			}
			return db.read(cmd, func(c *catalog.Catalog, _ config.Config) error {
				rows, err := c.Query(cmd.Context(), e, limit)
				if err != nil {
					return err
				}
				s := sheet{columns: []string{"name", "platform", "variant", "size", "created", "artifacts", "signed_by"}, value: rows, empty: "no image matches"}
				for _, r := range rows {
					variant := r.Variant.String()
					if o == tableOutput {
						variant = shortDigest(r.Variant)
					}
					s.add(r.Name, r.Platform, variant, sizeOf(r.Size, o), dateOf(r.Created), strconv.Itoa(r.Artifacts), strings.Join(r.SignedBy, " "))
				}
				return s.print(cmd, o)
			})
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			return completeQuery(cmd, db, args, word), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "show at most so many variants; 0 is all")
	sheetFlag(cmd, &o)
	return cmd
}

// syntaxError prints what is wrong with an expression, with the place marked.
func syntaxError(cmd *cobra.Command, err error) error {
	if bad, ok := errors.AsType[*catalog.SyntaxError](err); ok {
		cmd.PrintErrf("imagefit: %s\n", bad)
		return cli.ExitError(1)
	}
	return err
}

// fieldHelp lists the fields in the help.
func fieldHelp() string {
	var b strings.Builder
	for _, f := range catalog.Fields() {
		fmt.Fprintf(&b, "  %-13s %s\n", f.Name, f.About)
	}
	return b.String()
}

// sizeOf is a size for people, and for programs as it is.
func sizeOf(bytes int64, o cli.Output) string {
	const unit = 1 << 20
	if o != tableOutput {
		return strconv.FormatInt(bytes, 10)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/unit)
}

// completeQuery completes a word of an expression: after a verb the attributes that the
// catalog has, else what can begin a condition.
func completeQuery(cmd *cobra.Command, db *database, args []string, word string) []string {
	const most = 200
	before, last := strings.Join(args, " "), word
	if i := strings.LastIndexAny(word, " ("); i >= 0 { // the expression is one quoted argument
		before, last = before+" "+word[:i], word[i+1:]
	}
	prefix := strings.TrimSuffix(word, last)
	fields := strings.Fields(before)
	var found []string
	if len(fields) > 0 && catalog.IsVerb(fields[len(fields)-1]) {
		_ = db.read(cmd, func(c *catalog.Catalog, _ config.Config) error {
			keys, err := c.Attributes(cmd.Context(), last, most)
			for key := range keys {
				found = append(found, prefix+key)
			}
			return err
		})
		return found
	}
	for _, w := range catalog.Words() {
		if strings.HasPrefix(w, last) {
			found = append(found, prefix+w)
		}
	}
	return found
}

// diffTimes are the times of a diff.
type diffTimes struct{ from, to string }

func newCatalogDiffCommand(db *database) *cobra.Command {
	var o cli.Output
	var times diffTimes
	cmd := &cobra.Command{
		Use: "diff", Short: "List what changed in a catalog between two times", Args: cobra.NoArgs,
		Long: `Diff lists the names that are new, moved to another digest or are gone, and the
artifacts that came, were signed or went, after one time and up to another. Times
are dates, or how long ago: 2026-11-01, 36h, 7d. They are those of the syncs that
noticed.`,
		Example: `  imagefit catalog diff --from 7d
  imagefit catalog diff --from 2026-11-01 --to 2026-11-15 -o csv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			from, err := catalog.ParseTime(times.from, now)
			if err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			to := now
			if times.to != "" {
				if to, err = catalog.ParseTime(times.to, now); err != nil {
					return fmt.Errorf("--to: %w", err)
				}
			}
			return db.read(cmd, func(c *catalog.Catalog, _ config.Config) error {
				changes, err := c.Changes(cmd.Context(), from, to)
				if err != nil {
					return err
				}
				s := sheet{columns: []string{"at", "change", "name", "before", "after"}, value: changes, empty: "nothing changed"}
				for _, change := range changes {
					before, after := change.Before.String(), change.After.String()
					if o == tableOutput {
						before, after = shortDigest(change.Before), shortDigest(change.After)
					}
					s.add(dateOf(change.At), change.What, change.Name, before, after)
				}
				return s.print(cmd, o)
			})
		},
	}
	cmd.Flags().StringVar(&times.from, "from", "1d", "after this time")
	cmd.Flags().StringVar(&times.to, "to", "", "and not after this one (now)")
	sheetFlag(cmd, &o)
	return cmd
}

func newCatalogStatsCommand(db *database) *cobra.Command {
	var o cli.Output
	cmd := &cobra.Command{
		Use: "stats", Short: "Count what is in a catalog", Args: cobra.NoArgs,
		Example: `  imagefit catalog stats`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.read(cmd, func(c *catalog.Catalog, _ config.Config) error {
				n, err := c.Stats(cmd.Context())
				if err != nil {
					return err
				}
				s := sheet{columns: []string{"what", "count"}, value: n}
				for _, row := range []struct {
					what  string
					count int64
				}{
					{"sources", n.Sources}, {"repositories", n.Repositories}, {"names", n.Names}, {"names that are gone", n.Gone},
					{"images", n.Images}, {"variants", n.Variants}, {"variants with artifacts", n.WithNeeds}, {"artifacts", n.Artifacts},
					{"different bodies of artifacts", n.Bodies}, {"attributes", n.Attributes}, {"artifacts that cannot be read", n.Unreadable},
					{"artifacts with a verified signature", n.Signed}, {"names that could not be read", n.Failing},
					{"names that moved, each time", n.Moves}, {"names that registries announced", n.Pending},
				} {
					s.add(row.what, strconv.FormatInt(row.count, 10))
				}
				return s.print(cmd, o)
			})
		},
	}
	sheetFlag(cmd, &o)
	return cmd
}

func newCatalogSQLCommand(db *database) *cobra.Command {
	var o cli.Output
	var limit int
	cmd := &cobra.Command{
		Use: "sql STATEMENT", Short: "Ask a catalog in SQL", Args: cobra.ExactArgs(1),
		Long: `SQL runs a statement that reads, in the SQL of the database. The view image has
a row for each variant under each name, and the view requirement one for each
attribute of these. Nothing can be changed.`,
		Example: `  imagefit catalog sql "select repository, count(*) from image group by 1 order by 2 desc"
  imagefit catalog sql "select tag, value from requirement where key = 'kernel.version'" -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.read(cmd, func(c *catalog.Catalog, _ config.Config) error {
				columns, rows, err := c.SQL(cmd.Context(), args[0], limit)
				if err != nil {
					return err
				}
				value := make([]map[string]string, len(rows))
				for i, row := range rows {
					value[i] = map[string]string{}
					for n, cell := range row {
						value[i][columns[n]] = cell
					}
				}
				return (&sheet{columns: columns, rows: rows, value: value}).print(cmd, o)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 10000, "show at most so many rows; 0 is all")
	sheetFlag(cmd, &o)
	return cmd
}
