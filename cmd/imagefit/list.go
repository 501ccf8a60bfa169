package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// listCommand shows what is attached to an image.
type listCommand struct {
	specs  string
	output cli.Output
}

func newListCommand() *cobra.Command {
	var c listCommand
	cmd := &cobra.Command{
		Use:   "list IMAGE",
		Short: "Show which compatibility artifacts an image has",
		Long: `List shows an image as a tree: the index, its entries, and the compatibility
artifacts that are attached to each. Of several artifacts of one type (of
artifact and layer) the newest is used. One of the index applies to each entry
that has none of that type of its own. Registries are reached as on this node
(hosts.toml), with the credentials of your container tools (docker login, podman
login).`,
		Example: `  imagefit list registry.example/app:1
  imagefit list registry.example/app:1 -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	specsFlag(cmd, &c.specs)
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

func (c listCommand) run(cmd *cobra.Command, image string) error {
	cfg, err := cli.LoadUserConfig(cmd)
	if err != nil {
		return err
	}
	in, err := interpreter(cmd, c.specs)
	if err != nil {
		return err
	}
	reg, _ := openRegistry(cfg, cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelError), newTrace(cmd.ErrOrStderr(), false))
	defer reg.Close()
	told := tellRegistry(cmd, image)
	listing, err := listingOf(cmd.Context(), reg, image, in, cfg.Trust)
	told()
	if err != nil {
		return err
	}
	return c.output.Print(cmd, listing, func(b *cli.Console) { printListing(&b.Builder, listing) })
}

func listingOf(ctx context.Context, reg *registry.Registry, image string, in *spec.Interpreter, cfg config.Trust) (*attach.Listing, error) {
	at, err := find(ctx, reg, image)
	if err != nil {
		return nil, err
	}
	img, err := attach.ReadImage(ctx, at.repo, at.named)
	if err != nil {
		return nil, err
	}
	var keys *trust.Attempts
	rules, _ := wiring.Trust(cfg) // what is wrong with a key, config check tells
	if rule := rules.For(at.named.Name()); rule.Signed {
		keys = trust.NewAttempts(rule.Keys)
	}
	return attach.List(ctx, at.repo, img, in, keys)
}

// place is where an image is, and who asks.
type place struct {
	named reference.Named
	auth  *registry.Auth
	repo  *registry.Repository
}

// find opens the repository of an image with the credentials of the person's
// container tools.
func find(ctx context.Context, reg *registry.Registry, image string) (p place, err error) {
	if p.named, p.auth, err = toolAuth(ctx, image); err != nil {
		return place{}, err
	}
	p.repo, err = reg.Repository(p.named, p.auth)
	return p, err
}

// branch is a line of a tree, with what is below it.
type branch struct {
	line  string
	below []branch
}

// printListing draws the tree.
func printListing(b *strings.Builder, l *attach.Listing) {
	kind := "image"
	if len(l.Entries)+l.OtherEntries > 0 {
		kind = "index"
	}
	fmt.Fprintf(b, "%s  %s  %s\n", l.Reference, kind, l.Digest)
	tree := branchesOf(l.Holder)
	for _, e := range l.Entries {
		tree = append(tree, branch{fmt.Sprintf("[%d] %s  %s", e.Entry, e.Platform, e.Digest), branchesOf(e)})
	}
	if l.OtherEntries > 0 {
		tree = append(tree, branch{line: fmt.Sprintf("entries that are not images: %d", l.OtherEntries)})
	}
	draw(b, tree, "")
}

// branchesOf are what is below an index or an image.
func branchesOf(h attach.Holder) []branch {
	var all []branch
	for _, a := range h.Artifacts {
		created, used := "no time", "not used"
		if a.Created != nil {
			created = a.Created.UTC().Format(time.RFC3339)
		}
		if a.Counts {
			used = "used"
		}
		line := fmt.Sprintf("%s  %s  %s  %s", cmp.Or(a.Dialect, a.ArtifactType), created, used, a.Digest)
		switch {
		case a.Signer != "":
			line += "  signed by " + a.Signer
		case a.Unsigned != "":
			line += "  " + a.Unsigned + ": ignored"
		}
		if a.Problem != "" {
			line += "  cannot be read: " + a.Problem
		}
		all = append(all, branch{line: line})
	}
	if h.OtherReferrers > 0 {
		all = append(all, branch{line: fmt.Sprintf("other referrers: %d", h.OtherReferrers)})
	}
	if h.Unopened > 0 {
		all = append(all, branch{line: fmt.Sprintf("referrers not read: %d (only the newest %d are)", h.Unopened, referrers.MaxOpened)})
	}
	return all
}

func draw(b *strings.Builder, tree []branch, indent string) {
	for i, t := range tree {
		first, rest := "├── ", "│   "
		if i == len(tree)-1 {
			first, rest = "└── ", "    "
		}
		b.WriteString(indent + first + t.line + "\n")
		draw(b, t.below, indent+rest)
	}
}
