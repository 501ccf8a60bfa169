package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

// catalogAdd adds sources.
type catalogAdd struct {
	*database
	list, dir []string
	node      bool
	pods      []string
}

func newCatalogAddCommand(db *database) *cobra.Command {
	c := catalogAdd{database: db}
	cmd := &cobra.Command{
		Use:   "add [REGISTRY[/PREFIX]...]",
		Short: "Add sources of images to a catalog",
		Long: `Add adds places where images are: registries, or the repositories of one below a
prefix; files that list references or repositories, one a line; folders with OCI
layouts, docker archives and SIF files; the images of this node; and the images
that the pods of a cluster use, from a file that kubectl writes. Nothing is read
before the next sync.

Registries that do not list their repositories, such as docker.io and ghcr.io,
are added by --list, or one repository at a time.`,
		Example: `  imagefit catalog add registry.example/team
  imagefit catalog add --list images.txt
  imagefit catalog add --dir /cvmfs/images
  imagefit catalog add --node
  kubectl get pods -A -o json > pods.json; imagefit catalog add --pods pods.json`,
		RunE: c.run,
	}
	cmd.Flags().StringArrayVar(&c.list, "list", nil, "file with a reference or a repository a line")
	cmd.Flags().StringArrayVar(&c.dir, "dir", nil, "folder with OCI layouts, archives and SIF files")
	cmd.Flags().BoolVar(&c.node, "node", false, "the images of this node")
	cmd.Flags().StringArrayVar(&c.pods, "pods", nil, "file with what kubectl get pods -A -o json prints")
	_ = cmd.MarkFlagDirname("dir") // the flag exists
	return cmd
}

func (c *catalogAdd) sources(args []string) (all []catalog.Source, err error) {
	for _, name := range args {
		source, err := catalog.RegistrySource(name)
		if err != nil {
			return nil, err
		}
		all = append(all, source)
	}
	for kind, paths := range map[catalog.SourceKind][]string{catalog.FromList: c.list, catalog.FromDir: c.dir, catalog.FromCluster: c.pods} {
		for _, path := range paths {
			source, err := catalog.PathSource(kind, path)
			if err == nil {
				_, err = os.Stat(path)
			}
			if err != nil {
				return nil, err
			}
			all = append(all, source)
		}
	}
	if c.node {
		name, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		all = append(all, catalog.Source{Kind: catalog.FromNode, Name: name})
	}
	if len(all) == 0 {
		return nil, errors.New("name a registry, or use --list, --dir, --node or --pods")
	}
	return all, nil
}

func (c *catalogAdd) run(cmd *cobra.Command, args []string) error {
	sources, err := c.sources(args)
	if err != nil {
		return err
	}
	db, _, err := c.open(cmd, false)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, source := range sources {
		added, err := db.Add(cmd.Context(), source)
		if err != nil {
			return err
		}
		word := "added"
		if !added {
			word = "already there"
		}
		cmd.Printf("%s: %s %s\n", word, source.Kind, decision.Line(source.Name))
	}
	return nil
}

func newCatalogSourcesCommand(db *database) *cobra.Command {
	var o cli.Output
	cmd := &cobra.Command{
		Use: "sources", Short: "List the sources of a catalog", Args: cobra.NoArgs,
		Example: `  imagefit catalog sources`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.read(cmd, func(c *catalog.Catalog, _ config.Config) error {
				all, err := c.Sources(cmd.Context())
				if err != nil {
					return err
				}
				s := sheet{columns: []string{"id", "kind", "source", "names", "synced", "error"}, value: all, empty: "the catalog has no source: imagefit catalog add"}
				for _, one := range all {
					s.add(strconv.FormatInt(one.ID, 10), string(one.Kind), one.Name, strconv.Itoa(one.Tags), dateOf(one.Synced), one.Error)
				}
				return s.print(cmd, o)
			})
		},
	}
	sheetFlag(cmd, &o)
	return cmd
}

// dateOf is a time in a table.
func dateOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func newCatalogRemoveCommand(db *database) *cobra.Command {
	return &cobra.Command{
		Use: "remove SOURCE", Short: "Remove a source from a catalog", Args: cobra.ExactArgs(1),
		Long: `Remove removes a source, named as in "imagefit catalog sources" or by its ID.
The images that were found there stay in the catalog as they were seen last.`,
		Example: `  imagefit catalog remove registry.example/team`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := db.open(cmd, false)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			found, err := chosenSources(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			for _, source := range found {
				if err := c.Remove(cmd.Context(), source.ID); err != nil {
					return err
				}
				cmd.Printf("removed: %s %s\n", source.Kind, decision.Line(source.Name))
			}
			return nil
		},
	}
}

// chosenSources are the sources of these names or IDs; all without any.
func chosenSources(ctx context.Context, c *catalog.Catalog, names []string) ([]catalog.Source, error) {
	all, err := c.Sources(ctx)
	if err != nil || len(names) == 0 {
		return all, err
	}
	var chosen []catalog.Source
	for _, name := range names {
		found := false
		for _, source := range all {
			if name == source.Name || name == source.String() || name == strconv.FormatInt(source.ID, 10) || name == string(source.Kind) {
				chosen, found = append(chosen, source), true
			}
		}
		if !found {
			return nil, fmt.Errorf("the catalog has no source %s: imagefit catalog sources lists them", decision.Line(name))
		}
	}
	return chosen, nil
}

// catalogSync reads sources.
type catalogSync struct {
	*database
	rate  float64
	ttl   time.Duration
	quiet bool
	// pending looks only at what registries announced.
	pending bool
	output  cli.Output
}

func newCatalogSyncCommand(db *database) *cobra.Command {
	c := catalogSync{database: db}
	cmd := &cobra.Command{
		Use:   "sync [SOURCE...]",
		Short: "Read the sources of a catalog",
		Long: `Sync brings a catalog up to date with its sources, or with some of them. A tag
that did not move costs one HEAD request; lists of artifacts are read again when
they are older than --ttl. What is read is kept at once: an interrupted sync
continues where it was. Several syncs may run at the same time.

Exit code 0: all sources were read; 3: some could not be read, the others were.`,
		Example: `  imagefit catalog sync
  imagefit catalog sync registry.example/team --rate 5
  imagefit catalog sync --ttl 0`,
		RunE: c.run,
	}
	cmd.Flags().Float64Var(&c.rate, "rate", 20, "requests to one registry in a second; 0 does not limit them")
	cmd.Flags().DurationVar(&c.ttl, "ttl", 6*time.Hour, "how long a list of artifacts is current")
	cmd.Flags().BoolVar(&c.pending, "pending", false, "look only at names that registries announced to listen")
	cmd.Flags().BoolVarP(&c.quiet, "quiet", "q", false, "show no progress")
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

func (c *catalogSync) run(cmd *cobra.Command, args []string) error {
	if c.rate < 0 || c.ttl < 0 {
		return errors.New("--rate and --ttl cannot be negative")
	}
	db, cfg, err := c.open(cmd, false)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	sources, err := chosenSources(cmd.Context(), db, args)
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return errors.New("the catalog has no source: begin with imagefit catalog add")
	}
	syncer, closeAll, err := c.syncer(cmd, db, cfg)
	if err != nil {
		return err
	}
	defer closeAll()
	var summary catalog.Summary
	if c.pending {
		summary, err = syncer.Pending(cmd.Context())
	} else {
		summary, err = syncer.Sync(cmd.Context(), sources)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted: what was read is kept, and the next sync continues")
	}
	if err != nil {
		return err
	}
	for _, failed := range summary.Failed {
		cmd.PrintErrf("imagefit: %s could not be read as a whole: %s\n", decision.Line(failed.Source), failed.Error)
	}
	err = c.output.Print(cmd, summary, func(b *cli.Console) {
		fmt.Fprintf(b, "%d names in %d sources: %d new, %d moved, %d gone, %d as before, %d that cannot be read\n",
			summary.Names, summary.Sources, summary.New, summary.Moved, summary.Gone, summary.Same+summary.Skipped, summary.Problems)
	})
	if err == nil && len(summary.Failed) > 0 {
		return cli.ExitError(3)
	}
	return err
}

// syncer returns what reads sources; closeAll ends its connections.
func (c *catalogSync) syncer(cmd *cobra.Command, db *catalog.Catalog, cfg config.Config) (s *catalog.Syncer, closeAll func(), err error) {
	log := cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelWarn)
	specs, skipped, err := wiring.Specs(cfg.Select.SpecsDir)
	if err != nil {
		return nil, nil, err
	}
	for _, problem := range skipped {
		log.Error("skipping a compatibility spec", "error", problem)
	}
	trusted, skipped := wiring.Trust(cfg.Trust)
	for _, problem := range skipped {
		log.Error("skipping a public key", "error", problem)
	}
	reg := registryOf(cfg, log)
	s = &catalog.Syncer{
		Catalog: db, Indexer: catalog.NewIndexer(specs, cli.BuildVersion(version)), Registry: reg, Rate: c.rate, TTL: c.ttl, Log: log,
		InheritBase: cfg.Select.InheritBase, Trust: trusted,
		Auth: func(ctx context.Context, named reference.Named) (*registry.Auth, error) {
			_, auth, err := toolAuth(ctx, reference.TagNameOnly(named).String())
			return auth, err
		},
		Lists: map[catalog.SourceKind]func(context.Context, catalog.Source) ([]string, error){
			catalog.FromNode:    func(ctx context.Context, _ catalog.Source) ([]string, error) { return imagesOfNode(ctx, cmd, cfg) },
			catalog.FromCluster: func(_ context.Context, s catalog.Source) ([]string, error) { return catalog.ReadPods(s.Name) },
		},
	}
	if !c.quiet {
		s.Progress = progressOn(cmd)
	}
	return s, reg.Close, nil
}

// registryOf opens the registries as this node reaches them.
func registryOf(cfg config.Config, log *slog.Logger) *registry.Registry {
	runtime, err := containerd.Read(cfg.Runtime.Config)
	if err != nil {
		log.Error("cannot read the runtime's configuration completely", "file", cfg.Runtime.Config, "error", err)
	}
	path, tables := wiring.Hosts(cfg, runtime)
	return registry.New(registry.Options{
		HostsPath: path, Tables: tables, UserAgent: registry.UserAgent(cli.BuildVersion(version)), Log: log,
	})
}

// progressOn prints now and then how far a sync is.
func progressOn(cmd *cobra.Command) func(catalog.Progress) {
	const every = 2 * time.Second
	var shown atomic.Int64
	shown.Store(time.Now().UnixNano())
	return func(p catalog.Progress) {
		now, last := time.Now().UnixNano(), shown.Load()
		if time.Duration(now-last) >= every && shown.CompareAndSwap(last, now) {
			cmd.PrintErrf("imagefit: %s: %d names, at %s\n", decision.Line(p.Source.String()), p.Names, decision.Line(p.Name))
		}
	}
}

// imagesOfNode lists the images of this node by name, and those without one by digest.
func imagesOfNode(ctx context.Context, cmd *cobra.Command, cfg config.Config) ([]string, error) {
	list := listImages(ctx, cfg, cmd.ErrOrStderr())
	if list.Source == "" {
		return nil, errors.New("the images of this node cannot be listed: " + strings.Join(list.Problems, "; "))
	}
	var names []string
	for _, image := range list.Images {
		if _, err := digest.Parse(image.Name); err == nil {
			continue // an image without a name cannot be found in a registry
		}
		names = append(names, image.Name)
	}
	return names, nil
}
