package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/registry"
)

func newCatalogExportCommand(db *database) *cobra.Command {
	const jsonLines, inToto cli.Output = "jsonl", "intoto"
	var o cli.Output
	var where string
	cmd := &cobra.Command{
		Use: "export", Short: "Write what a catalog has for other programs", Args: cobra.NoArgs,
		Long: `Export writes every variant under every name with what it needs: as one JSON
object a line; as CSV with one requirement a row; or as one in-toto statement a
line about each manifest that has artifacts, for databases of provenance.`,
		Example: `  imagefit catalog export > images.jsonl
  imagefit catalog export -o csv --where 'requires gpu.nvidia'
  imagefit catalog export -o intoto > statements.jsonl`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := catalog.ParseExpression(where)
			if err != nil {
				return syntaxError(cmd, err)
			}
			return db.read(cmd, func(c *catalog.Catalog, _ config.Config) error {
				w := bufio.NewWriter(cmd.OutOrStdout())
				switch o {
				case csvOutput:
					err = c.WriteCSV(cmd.Context(), e, w)
				case inToto:
					err = c.WriteInToto(cmd.Context(), e, w)
				default:
					err = c.WriteJSONLines(cmd.Context(), e, w)
				}
				return errors.Join(err, w.Flush())
			})
		},
	}
	o.AddFlag(cmd, jsonLines, csvOutput, inToto)
	whereFlag(cmd, &where)
	return cmd
}

// repositories opens repositories for copies, with the credentials of the person's tools.
// closeAll ends their connections.
type repositories struct{ open []*attach.Target }

func (r *repositories) get(ctx context.Context, named reference.Named) (*remote.Repository, error) {
	_, auth, err := toolAuth(ctx, reference.TagNameOnly(named).String())
	if err != nil {
		return nil, err
	}
	t := attach.NewTarget(named, auth, registry.UserAgent(cli.BuildVersion(version)))
	r.open = append(r.open, t)
	return t.Repository(), nil
}

func (r *repositories) closeAll() {
	for _, t := range r.open {
		t.Close()
	}
}

// tagged reads a reference with a tag; without one it is latest.
func tagged(ref string) (reference.NamedTagged, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fmt.Errorf("read reference %q: %w", ref, err)
	}
	t, ok := reference.TagNameOnly(named).(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("read reference %q: a tag is expected, not a digest", ref)
	}
	return t, nil
}

func newCatalogPushCommand(db *database) *cobra.Command {
	return &cobra.Command{
		Use: "push REFERENCE", Short: "Push a catalog to a registry, for others to pull", Args: cobra.ExactArgs(1),
		Long: `Push stores a copy of the catalog in a registry, as an OCI artifact under a tag:
one crawler serves all readers, and a site without network gets it with its
images.`,
		Example: `  imagefit catalog push registry.example/imagefit/catalog:2026-11-28`,
		RunE: func(cmd *cobra.Command, args []string) error {
			named, err := tagged(args[0])
			if err != nil {
				return err
			}
			var repos repositories
			defer repos.closeAll()
			to, err := repos.get(cmd.Context(), named)
			if err != nil {
				return err
			}
			c, _, err := db.open(cmd, false)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			desc, err := c.Push(cmd.Context(), to, named.Tag())
			if err != nil {
				return fmt.Errorf("push the catalog to %s: %w", named, err)
			}
			cmd.Printf("%s@%s\n", named, desc.Digest)
			return nil
		},
	}
}

func newCatalogPullCommand(db *database) *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use: "pull REFERENCE", Short: "Pull a catalog that push made", Args: cobra.ExactArgs(1),
		Long: `Pull fetches a catalog from a registry into the file of --db. The file is
checked before it is used: it must be sound, and have the tables of a catalog
and nothing else. A catalog that exists is replaced only with --replace.`,
		Example: `  imagefit catalog pull registry.example/imagefit/catalog:2026-11-28
  imagefit catalog pull registry.example/imagefit/catalog:latest --replace`,
		RunE: func(cmd *cobra.Command, args []string) error {
			named, err := tagged(args[0])
			if err != nil {
				return err
			}
			cfg, err := cli.LoadUserConfig(cmd)
			if err != nil {
				return err
			}
			path := db.at(cfg)
			if catalog.IsPostgres(path) {
				return errors.New("a catalog is pulled into a file: --db names a PostgreSQL database")
			}
			if _, err := os.Stat(path); err == nil && !replace {
				return fmt.Errorf("%s exists: pull with --replace, or into another file with --db", path)
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			var repos repositories
			defer repos.closeAll()
			from, err := repos.get(cmd.Context(), named)
			if err != nil {
				return err
			}
			if err := catalog.Pull(cmd.Context(), from, named.Tag(), path); err != nil {
				return fmt.Errorf("pull the catalog %s: %w", named, err)
			}
			cmd.Printf("%s\n", path)
			return nil
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "replace a catalog that exists")
	return cmd
}
