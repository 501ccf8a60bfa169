package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
)

// shownImage is an image with its verdicts on nodes.
type shownImage struct {
	*catalog.Shown

	Verdicts *catalog.Matrix `json:"verdicts,omitempty"`
}

func newCatalogShowCommand(db *database) *cobra.Command {
	var o cli.Output
	var files []string
	var arch string
	cmd := &cobra.Command{
		Use: "show IMAGE", Short: "Show what a catalog has of an image", Args: cobra.ExactArgs(1),
		Long: `Show prints an image as a tree: the index, its variants with what they require
and their artifacts, where and when it was found, and its history. With --facts
it adds the verdict on each node.`,
		Example: `  imagefit catalog show registry.example/app:1
  imagefit catalog show registry.example/app:1 --facts a100.json -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.read(cmd, func(c *catalog.Catalog, cfg config.Config) error {
				found, err := c.Show(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				shown := shownImage{Shown: found}
				if len(files) > 0 {
					if shown.Verdicts, err = verdictsOf(cmd, c, cfg, found.Name, files, arch); err != nil {
						return err
					}
				}
				return o.Print(cmd, shown, func(c *cli.Console) { shown.print(&c.Builder) })
			})
		},
	}
	cmd.Flags().StringArrayVar(&files, "facts", nil, "facts of a node, as in explain; can be repeated")
	cmd.Flags().StringVar(&arch, "arch", "", "architecture of the nodes, if their facts do not tell it")
	o.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

func verdictsOf(cmd *cobra.Command, c *catalog.Catalog, cfg config.Config, name string, files []string, arch string) (*catalog.Matrix, error) {
	nodes, err := nodesOf(cmd.Context(), cmd, files, arch)
	if err != nil {
		return nil, err
	}
	e, err := catalog.ParseExpression(`name = "` + name + `"`)
	if err != nil {
		return nil, err
	}
	on, err := newOnCatalog(cmd, cfg, c)
	if err != nil {
		return nil, err
	}
	return c.Evaluate(cmd.Context(), on.placement, on.rules, e, nodes)
}

// line writes one line of a tree.
func line(b *strings.Builder, depth int, format string, args ...any) {
	fmt.Fprintf(b, "%s%s\n", strings.Repeat("  ", depth), decision.Line(fmt.Sprintf(format, args...)))
}

func (s shownImage) print(b *strings.Builder) {
	kind := "image"
	if s.Index {
		kind = "index"
	}
	line(b, 0, "%s", s.Name)
	if s.Digest != "" {
		line(b, 1, "%s %s%s", kind, s.Digest, signedText(s.Signer, s.Unsigned))
	}
	line(b, 1, "seen %s to %s", dateOf(s.FirstSeen), dateOf(s.LastSeen))
	if !s.Gone.IsZero() {
		line(b, 1, "gone since %s", dateOf(s.Gone))
	}
	if s.Error != "" {
		line(b, 1, "could not be read the last time: %s", s.Error)
	}
	for _, source := range s.Sources {
		line(b, 1, "found in %s", source)
	}
	for _, name := range s.Also {
		line(b, 1, "also named %s", name)
	}
	printAttached(b, 1, s.Artifacts)
	for _, v := range s.Variants {
		s.printVariant(b, v)
	}
	for _, change := range s.History {
		line(b, 1, "%s %s %s", dateOf(change.At), change.What, strings.Trim(shortDigest(change.Before)+" -> "+shortDigest(change.After), " ->"))
	}
	if s.Verdicts == nil {
		return
	}
	for _, l := range s.Verdicts.Images {
		for i, v := range l.Verdicts {
			line(b, 1, "on %s: %s: %s", s.Verdicts.Nodes[i], v.Outcome, v.Reason)
		}
	}
}

func (s shownImage) printVariant(b *strings.Builder, v catalog.ShownVariant) {
	name := v.Platform
	if name == "" {
		name = "no platform"
	}
	if v.Reason != "" {
		line(b, 1, "%s %s: %s", name, shortDigest(v.Digest), v.Reason)
		return
	}
	line(b, 1, "%s %s", name, v.Digest)
	line(b, 2, "%s%s", sizeOf(v.Size, tableOutput), builtOn(v))
	if v.Problem != "" {
		line(b, 2, "cannot be read: %s", v.Problem)
	}
	for _, want := range v.Requires {
		line(b, 2, "requires %s", want)
	}
	printAttached(b, 2, v.Artifacts)
}

func builtOn(v catalog.ShownVariant) string {
	text := ""
	if !v.Created.IsZero() {
		text += ", built " + v.Created.Format(time.DateOnly)
	}
	if v.Base != "" {
		text += ", based on " + v.Base
	}
	return text
}

func printAttached(b *strings.Builder, depth int, all []catalog.Attached) {
	for _, a := range all {
		state := "replaced"
		switch {
		case !a.Gone.IsZero():
			state = "gone since " + dateOf(a.Gone)
		case a.Current:
			state = "current"
		}
		text := ""
		if a.Errors+a.Warnings > 0 {
			text = fmt.Sprintf(", lint: %d errors, %d warnings", a.Errors, a.Warnings)
		}
		if a.Problem != "" {
			text += ", cannot be read: " + a.Problem
		}
		text += signedText(a.Signer, a.Unsigned)
		line(b, depth, "artifact %s %s (%s)%s", shortDigest(a.Digest), a.Dialect, state, text)
	}
}

// signedText says who signed something, where that was asked.
func signedText(signer, unsigned string) string {
	switch {
	case signer != "":
		return ", signed by " + signer
	case unsigned != "":
		return ", " + unsigned
	}
	return ""
}
