package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/whatif"
)

const (
	// live is the value of --facts for this node.
	live = "live"
	// maxAsked bounds the images of one question, maxImagesFile the file that lists them.
	maxAsked      = 20_000
	maxImagesFile = 8 << 20
)

// imagesIn reads the references in a file, one on each line. What is behind a # is a
// comment.
func imagesIn(file string, stdin io.Reader) ([]string, error) {
	text, err := readBounded(file, stdin, maxImagesFile)
	if err != nil {
		return nil, err
	}
	var all []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	switch {
	case lines.Err() != nil:
		return nil, fmt.Errorf("read %s: %w", file, lines.Err())
	case len(all) == 0:
		return nil, fmt.Errorf("%s lists no images: one reference is expected on each line", file)
	case len(all) > maxAsked:
		return nil, fmt.Errorf("%s lists %d images, more than %d", file, len(all), maxAsked)
	}
	return all, nil
}

// imagesOnNode are the names of the images on this node: of each image its tags, else its
// digests.
func imagesOnNode(ctx context.Context, cfg config.Config, stderr io.Writer) ([]string, error) {
	list := listImages(ctx, cfg, stderr)
	tagged := map[string]bool{}
	for _, i := range list.Images {
		tagged[i.ImageID] = tagged[i.ImageID] || !strings.Contains(i.Name, "@")
	}
	var all []string
	for _, i := range list.Images {
		if !strings.Contains(i.Name, "@") || !tagged[i.ImageID] {
			all = append(all, i.Name)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there are no images on this node to ask about, name some with --images FILE: %s", strings.Join(list.Problems, "; "))
	}
	return all, nil
}

// evaluate evaluates the images on the hosts.
func (g *gatherer) evaluate(ctx context.Context, images []gathered, hosts []whatif.Host) (*whatif.Grid, error) {
	asked := make([]whatif.Image, len(images))
	for i, image := range images {
		asked[i] = whatif.Image{Name: image.reference, Needs: image.needs, Err: image.err}
	}
	return whatif.Evaluator{Decisions: g.decisions, Rules: g.rules}.Evaluate(ctx, asked, hosts)
}

// change changes the facts of the hosts, and keeps what they were. A host that lacks a
// fact stays as it is, unless all do.
func change(hosts []whatif.Host, changes []string, stderr io.Writer) error {
	if len(changes) == 0 {
		return nil
	}
	same := 0
	var problem error
	for i := range hosts {
		h := &hosts[i]
		h.Before = h.Facts
		changed, err := hostfacts.Change(h.Facts, changes...)
		if err != nil {
			same, problem = same+1, err
			continue
		}
		h.Facts = changed
	}
	switch {
	case same == len(hosts):
		return problem
	case same > 0:
		_, _ = fmt.Fprintf(stderr, "imagefit: %d of %d hosts stay as they are: %v\n", same, len(hosts), problem)
	}
	return nil
}

// knowArchitectures returns an error for hosts whose facts do not tell the architecture.
func knowArchitectures(hosts []whatif.Host) error {
	at := slices.IndexFunc(hosts, func(h whatif.Host) bool { return h.Facts.Arch() == "" })
	if at < 0 {
		return nil
	}
	return fmt.Errorf("the facts of %s do not tell the architecture, which decides about the entries of an index: give it with --arch", hosts[at].Name)
}

// printGroups prints a line for each image and group of hosts on which the same becomes
// of it: of what does not fit or changes, or all.
func printGroups(b *cli.Console, g *whatif.Grid, all bool) {
	table := b.Table()
	head := "IMAGE\tHOSTS\tVERDICT\tVARIANT\tREASON"
	if g.Compares {
		head = "IMAGE\tHOSTS\tBEFORE\tAFTER\tREASON"
	}
	for _, group := range g.Groups() {
		shown := all || group.Changed() || !g.Compares && group.Outcome.String() != "fits"
		if !shown {
			continue
		}
		if head != "" {
			fmt.Fprintln(table, head)
			head = ""
		}
		cells := []string{group.Image, namesShort(group.Hosts)}
		if g.Compares {
			cells = append(cells, stateText(*group.Before), stateText(whatif.State{Outcome: group.Outcome, Platform: group.Platform, Digest: group.Digest}))
		} else {
			cells = append(cells, group.Outcome.String(), group.Platform)
		}
		cells = append(cells, group.Reason)
		for i, cell := range cells {
			cells[i] = cmp.Or(decision.Line(cell), "-")
		}
		verdict := len(cells) - 3 // or what is before a change
		if g.Compares {
			verdict++
		}
		cells[verdict] = b.Paint(styleOf(group.Outcome.String()), cells[verdict])
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	table.Flush()
	if head == "" {
		b.WriteString("\n")
	}
	n := g.Counts()
	fmt.Fprintf(b, "%s on %s: %d fit, %d do not fit, %d unknown", textutil.Count(len(g.Images), "image"),
		textutil.Count(len(g.Hosts), "host"), n.Fits, n.Unfit, n.Unknown)
	if g.Compares {
		fmt.Fprintf(b, "; %d change, %d of them for the worse", n.Changed, n.Worse)
	}
	b.WriteString("\n")
}

// stateText is an outcome with the variant that goes with it. Variants of one platform
// are told apart by their digests.
func stateText(s whatif.State) string {
	text := s.Outcome.String()
	if s.Platform != "" {
		text += ": " + s.Platform
	}
	if s.Digest != "" {
		text += "@" + shortDigest(s.Digest)
	}
	return text
}

// namesShort is the first of some names, and how many more there are.
func namesShort(names []string) string {
	if len(names) > 1 {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	return names[0]
}

// liveFacts are those of this node as the daemons collect them.
func liveFacts(ctx context.Context, cfg config.Config) (*facts.Facts, error) {
	return collect(ctx, hostfacts.NewRoot(cfg.Facts.Root))
}
