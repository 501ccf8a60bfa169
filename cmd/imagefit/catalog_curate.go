package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/decision"
)

func newCatalogPlanCommand(db *database) *cobra.Command {
	c := catalogNodes{database: db}
	var newest int
	var used bool
	var query string
	cmd := c.flags(&cobra.Command{
		Use: "plan", Short: "Propose which images to keep and which could be removed", Args: cobra.NoArgs,
		Long: `Plan lists the names of a catalog with what speaks for keeping each: a node runs
it, it is among the newest of its repository, it is in use on a node or in a
cluster, or a query describes it. Names without a reason could be removed; of
those that are kept it lists the variants that no node would choose. Nothing is
removed.`,
		Example: `  imagefit catalog plan --facts a100.json --facts cpu-only.json --newest 3
  imagefit catalog plan --keep 'tag = stable' -o csv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rules := catalog.Rules{Chosen: true, Newest: newest, InUse: used}
			if query != "" {
				var err error
				if rules.Query, err = catalog.ParseExpression(query); err != nil {
					return syntaxError(cmd, err)
				}
			}
			return c.ask(cmd, c.facts, func(db *catalog.Catalog, e *catalog.Expression, m *catalog.Matrix) error {
				plan, err := db.Plan(cmd.Context(), m, e, rules)
				if err != nil {
					return err
				}
				s := sheet{columns: []string{"action", "name", "why", "without"}, value: plan, empty: "no image matches"}
				for _, p := range plan {
					action := "remove"
					if p.Keep {
						action = "keep"
					}
					s.add(action, p.Name, strings.Join(p.Why, "; "), strings.Join(p.Unchosen, " "))
				}
				return s.print(cmd, c.output)
			})
		},
	})
	cmd.Flags().IntVar(&newest, "newest", 1, "keep so many of the newest names of each repository")
	cmd.Flags().BoolVar(&used, "used", true, "keep what the sources of the kinds node and cluster have")
	cmd.Flags().StringVar(&query, "keep", "", "keep what this query describes")
	return cmd
}

func newCatalogPrefetchCommand(db *database) *cobra.Command {
	c := catalogNodes{database: db}
	return c.flags(&cobra.Command{
		Use: "prefetch", Short: "List what a new node should pull", Args: cobra.NoArgs,
		Long: `Prefetch lists, for a node with these facts, the variant of each image that it
would choose, by digest. Without --where it lists what is in use on nodes and in
clusters, if the catalog has such sources, else everything.`,
		Example: `  imagefit catalog prefetch --facts a100.json
  imagefit catalog prefetch -o json --where 'repository ~ "*/hpc/*"'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(c.facts) > 1 {
				return errors.New("prefetch is for one kind of node: give --facts once")
			}
			if c.where == "" {
				if err := c.inUse(cmd); err != nil {
					return err
				}
			}
			return c.ask(cmd, c.facts, func(db *catalog.Catalog, e *catalog.Expression, m *catalog.Matrix) error {
				all, err := db.Prefetch(cmd.Context(), m, e)
				if err != nil {
					return err
				}
				s := sheet{columns: []string{"name", "platform", "size", "reference"}, value: all, empty: "no image matches that runs there"}
				for _, p := range all {
					s.add(p.Name, p.Platform, sizeOf(p.Size, c.output), p.Reference)
				}
				return s.print(cmd, c.output)
			})
		},
	})
}

// inUse asks only about what is in use, where the catalog knows of that.
func (c *catalogNodes) inUse(cmd *cobra.Command) error {
	db, _, err := c.open(cmd, true)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	sources, err := db.Sources(cmd.Context())
	for _, s := range sources {
		if (s.Kind == catalog.FromNode || s.Kind == catalog.FromCluster) && s.Tags > 0 {
			c.where = "source = node or source = cluster"
		}
	}
	return err
}

// catalogMirror copies images.
type catalogMirror struct {
	catalogNodes

	to      string
	dryRun  bool
	hosts   string // folder for hosts.toml files
	resolve bool
}

func newCatalogMirrorCommand(db *database) *cobra.Command {
	c := catalogMirror{catalogNodes: catalogNodes{database: db}}
	cmd := c.flags(&cobra.Command{
		Use: "mirror", Short: "Copy images to another registry, without the variants that no node would choose", Args: cobra.NoArgs,
		Long: `Mirror copies the images of a catalog that run on one of the nodes to another
registry, each as TO/path-of-its-repository:tag. Of an index it copies the
variants that a node would choose, with everything that refers to them. An index
that lacks entries is a new one with another digest: it names the index that it
was made of in the annotation imagefit.dev/mirror-of, and has that one's
compatibility artifacts; signatures of the old index do not apply to it.

With --hosts it writes a hosts.toml for each registry, for /etc/containerd/certs.d
of nodes: the registry still says what a tag is, and the mirror serves the
variants that it has. With --resolve the mirror says what a tag is, too, so that
the registry is not needed; its indexes lack what other nodes would choose.

Exit code 0: all were copied; 3: some were not.`,
		Example: `  imagefit catalog mirror --to mirror.site:5000/apps --facts a100.json --dry-run
  imagefit catalog mirror --to mirror.site:5000/apps --facts a100.json --where 'tag = stable'`,
		RunE: c.run,
	})
	cmd.Flags().StringVar(&c.to, "to", "", "registry, and prefix of its repositories, to copy to")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show what would be copied")
	cmd.Flags().StringVar(&c.hosts, "hosts", "", "write how nodes reach the mirror: a hosts.toml for each registry below this `DIR`")
	cmd.Flags().BoolVar(&c.resolve, "resolve", false, "with --hosts, have nodes ask the mirror what a tag is, too")
	_ = cmd.MarkFlagRequired("to") // the flag exists
	_ = cmd.MarkFlagDirname("hosts")
	return cmd
}

func (c *catalogMirror) run(cmd *cobra.Command, _ []string) error {
	if _, err := catalog.RegistrySource(c.to); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	if c.resolve && c.hosts == "" {
		return errors.New("--resolve is about the files of --hosts: give --hosts, too")
	}
	return c.ask(cmd, c.facts, func(_ *catalog.Catalog, _ *catalog.Expression, m *catalog.Matrix) error {
		var repos repositories
		defer repos.closeAll()
		mirror := catalog.Mirror{From: repos.get, To: repos.get}
		s := sheet{columns: []string{"name", "to", "variants", "left_out", "problem"}, empty: "no image matches that runs on one of the nodes"}
		var all []catalog.Mirrored
		failed, taken := false, map[string]string{}
		for i := range m.Images {
			l := &m.Images[i]
			wanted := l.Wanted()
			if len(wanted) == 0 {
				continue
			}
			for _, name := range l.Names {
				one := c.copy(cmd.Context(), mirror, name, l.Digest, wanted, taken)
				failed = failed || one.Problem != ""
				all = append(all, one)
				s.add(one.Name, one.To, strings.Join(one.Variants, " "), fmt.Sprint(one.LeftOut), one.Problem)
				if cmd.Context().Err() != nil {
					return cmd.Context().Err()
				}
			}
		}
		s.value = all
		if err := s.print(cmd, c.output); err != nil {
			return err
		}
		if c.hosts != "" && !c.dryRun {
			if err := c.writeHosts(cmd, all); err != nil {
				return fmt.Errorf("--hosts: %w", err)
			}
		}
		if failed {
			return cli.ExitError(3)
		}
		return nil
	})
}

// copy copies one name, to where no other one was copied.
func (c *catalogMirror) copy(
	ctx context.Context, m catalog.Mirror, name string, top digest.Digest, wanted map[digest.Digest]string, taken map[string]string,
) catalog.Mirrored {
	one := catalog.Mirrored{Name: name}
	for _, platform := range wanted {
		one.Variants = append(one.Variants, platform)
	}
	from, err := reference.ParseNormalizedNamed(name)
	var to reference.Named
	if err == nil {
		to, err = reference.ParseNormalizedNamed(strings.TrimSuffix(c.to, "/") + "/" + reference.Path(from))
	}
	if tag, ok := from.(reference.Tagged); ok && err == nil {
		to, err = reference.WithTag(to, tag.Tag())
	} else if d, ok := from.(reference.Digested); ok && err == nil {
		to, err = reference.WithDigest(to, d.Digest())
	}
	if err != nil {
		one.Problem = "not an image in a registry"
		return one
	}
	one.To = to.String()
	if other, is := taken[one.To]; is {
		one.Problem = decision.Line("the copy of " + other + " has this name: mirror the images of each registry to a prefix of its own (--where)")
		return one
	}
	if taken[one.To] = name; c.dryRun {
		return one
	}
	if one.Digest, one.LeftOut, err = m.Copy(ctx, from, to, top, wanted); err != nil {
		one.Problem = decision.Line(err.Error())
	}
	return one
}
