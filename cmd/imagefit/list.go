package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
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
(hosts.toml), with the credentials of your container tools (docker login).`,
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
	listing, err := c.list(cmd, cfg, image)
	if err != nil {
		return err
	}
	return c.output.Print(cmd.OutOrStdout(), listing, func(w io.Writer) error { return printListing(w, listing) })
}

func (c listCommand) list(cmd *cobra.Command, cfg config.Config, image string) (*attach.Listing, error) {
	in, err := interpreter(cmd, c.specs)
	if err != nil {
		return nil, err
	}
	log := cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelError)
	runtime := runtimeSettings(cfg, log)
	reg := registry.New(registry.Options{
		HostsPath: cfg.Registry.HostsPath(runtime.HostsPath, runtime.HostsKnown), UserAgent: registry.UserAgent(cli.BuildVersion(version)),
	})
	defer reg.Close()
	at, err := find(cmd.Context(), reg, image)
	if err != nil {
		return nil, err
	}
	img, err := attach.ReadImage(cmd.Context(), at.repo, at.named)
	if err != nil {
		return nil, err
	}
	return attach.List(cmd.Context(), at.repo, img, in)
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
	if p.named, err = reference.ParseDockerRef(image); err != nil {
		return place{}, fmt.Errorf("read reference %q: %w", image, err)
	}
	if p.auth, err = dockerAuth(ctx, image); err != nil {
		return place{}, err
	}
	p.repo, err = reg.Repository(p.named, p.auth)
	return p, err
}

// printListing draws the tree.
func printListing(w io.Writer, l *attach.Listing) error {
	var b strings.Builder
	kind := "image"
	if len(l.Entries)+l.OtherEntries > 0 {
		kind = "index"
	}
	fmt.Fprintf(&b, "%s  %s  %s\n", l.Reference, kind, l.Digest)
	lines := holderLines(l.Holder)
	for _, e := range l.Entries {
		title := fmt.Sprintf("[%d] %s  %s", e.Entry, e.Platform, e.Digest)
		lines = append(lines, append([]string{title}, indent(holderLines(e))...))
	}
	if l.OtherEntries > 0 {
		lines = append(lines, []string{fmt.Sprintf("entries that are not images: %d", l.OtherEntries)})
	}
	if l.Problem != "" {
		lines = append(lines, []string{"a pull leaves the choice to the runtime: " + l.Problem})
	}
	for _, line := range indent(lines) {
		b.WriteString(line + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// holderLines are the branches below an index or an image, a list of lines each.
func holderLines(h attach.Holder) [][]string {
	var lines [][]string
	for _, a := range h.Artifacts {
		lines = append(lines, []string{artifactLine(a)})
	}
	if h.OtherReferrers > 0 {
		lines = append(lines, []string{fmt.Sprintf("other referrers: %d", h.OtherReferrers)})
	}
	if h.Unopened > 0 {
		lines = append(lines, []string{fmt.Sprintf("referrers not read: %d (only the newest %d are)", h.Unopened, referrers.MaxOpened)})
	}
	return lines
}

func artifactLine(a attach.Artifact) string {
	dialect, created, used := a.Dialect, "no time", "used"
	if dialect == "" {
		dialect = a.ArtifactType
	}
	if a.Created != nil {
		created = a.Created.UTC().Format(time.RFC3339)
	}
	if !a.Counts {
		used = "not used"
	}
	line := fmt.Sprintf("%s  %s  %s  %s", dialect, created, used, a.Digest)
	if a.Problem != "" {
		line += "  cannot be read: " + a.Problem
	}
	return line
}

// indent draws the branches of a tree before the lines of each.
func indent(branches [][]string) []string {
	var lines []string
	for i, branch := range branches {
		first, rest := "├── ", "│   "
		if i == len(branches)-1 {
			first, rest = "└── ", "    "
		}
		for j, line := range branch {
			if j == 0 {
				lines = append(lines, first+line)
			} else {
				lines = append(lines, rest+line)
			}
		}
	}
	return lines
}
