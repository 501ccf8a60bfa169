package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/audit"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/page"
	"github.com/imagefit/imagefit/pkg/whatif"
)

// outlook is what would become of images on hosts. Its JSON names are stable.
type outlook struct {
	Changes    []string          `json:"changes,omitempty"`
	Counts     whatif.Counts     `json:"counts"`
	Containers []containerChange `json:"containers,omitempty"` // of this node, that a change affects
	Results    []whatif.Entry    `json:"results"`

	grid *whatif.Grid
}

// containerChange is a running container whose verdict a change changes.
type containerChange struct {
	Before audit.Verdict `json:"before"`
	audit.Container
}

func (c *auditCommand) runWhatIf(cmd *cobra.Command, cfg config.Config, more []string) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	hosts, err := c.hosts(cmd, cfg, more)
	if err != nil {
		return err
	}
	g, err := c.needs.open(cmd)
	if err != nil {
		return err
	}
	defer g.close()
	images, err := c.gather(cmd, cfg, g)
	if err != nil {
		return err
	}
	o := outlook{Changes: c.changes, Results: []whatif.Entry{}}
	if o.grid, err = g.evaluate(ctx, images, hosts); err != nil {
		return err
	}
	if len(c.facts) == 0 && len(c.changes) > 0 {
		o.Containers = containersAfter(ctx, cfg, hosts[0], stderr)
	}
	o.Counts = o.grid.Counts()
	if err := c.print(cmd, o); err != nil {
		return err
	}
	if c.needs.fromCatalog(cmd) {
		if err := firstError(images); err != nil {
			return err
		}
	}
	if o.isWorse() {
		return cli.ExitError(exitNoneFits)
	}
	return nil
}

// gather reads what the images of the question need.
func (c *auditCommand) gather(cmd *cobra.Command, cfg config.Config, g *gatherer) ([]gathered, error) {
	var names []string
	var err error
	switch {
	case c.images != "":
		names, err = imagesIn(c.images, cmd.InOrStdin())
	case !c.needs.fromCatalog(cmd):
		names, err = imagesOnNode(cmd.Context(), cfg, cmd.ErrOrStderr())
	}
	if err != nil {
		return nil, err
	}
	return g.gather(cmd.Context(), names)
}

// hosts loads the hosts of the question, this node where none is named.
func (c *auditCommand) hosts(cmd *cobra.Command, cfg config.Config, more []string) (hosts []whatif.Host, err error) {
	arch, err := archOf(cmd)
	if err != nil {
		return nil, err
	}
	names := slices.Concat(c.facts, more)
	if c.images == "-" && slices.Contains(names, "-") {
		return nil, errors.New("only one of --images and --facts can be standard input")
	}
	if len(names) == 0 {
		known, err := liveFacts(cmd.Context(), cfg)
		if err != nil {
			return nil, err
		}
		hosts = []whatif.Host{{Name: live, Facts: known}}
	} else if hosts, err = (factsLoader{cfg.Facts.Root, arch, cmd.InOrStdin()}).loadAll(cmd.Context(), names); err != nil {
		return nil, fmt.Errorf("read --facts: %w", err)
	}
	if err := knowArchitectures(hosts); err != nil {
		return nil, err
	}
	return hosts, change(hosts, c.changes, cmd.ErrOrStderr())
}

func (c *auditCommand) print(cmd *cobra.Command, o outlook) error {
	w := cmd.OutOrStdout()
	switch c.output {
	case csvOutput:
		return o.grid.WriteCSV(w)
	case htmlOutput:
		return o.page(time.Now()).Write(w)
	case cli.JSON, cli.YAML:
		o.Results = slices.AppendSeq(o.Results, o.grid.Entries())
	}
	return c.output.Print(cmd, o, func(b *cli.Console) {
		printContainerChanges(b, o.Containers)
		printGroups(b, o.grid, c.all)
	})
}

// isWorse reports whether anything does not fit, or in a comparison less well than before.
func (o outlook) isWorse() bool {
	if !o.grid.Compares {
		return o.Counts.Unfit > 0
	}
	return o.Counts.Worse > 0 || slices.ContainsFunc(o.Containers, func(c containerChange) bool { return c.Unfit() })
}

// page is the outlook for a browser.
func (o outlook) page(now time.Time) page.Page {
	p := page.Page{Title: "Images on hosts", Lead: []string{fmt.Sprintf(
		"%s on %s, evaluated by imagefit %s on %s as a pull on each host is: which variant would be chosen, and what keeps others from fitting.",
		textutil.Count(len(o.grid.Images), "image"), textutil.Count(len(o.grid.Hosts), "host"), cli.BuildVersion(version), now.UTC().Format(time.DateTime+" UTC"))}}
	m := o.grid.Matrix()
	m.Heading = "What fits where"
	if len(o.Changes) > 0 {
		p.Title = "Images on hosts after a change"
		m.Heading, m.Note = "What fits where after the change", "Changed: "+strings.Join(o.Changes, ", ")
	}
	if len(o.Containers) > 0 {
		t := page.Table{Heading: "Running containers that the change affects", Columns: []string{"pod", "container", "image", "before", "after", "reason"}}
		for _, c := range o.Containers {
			t.Rows = append(t.Rows, []string{c.Namespace + "/" + c.Pod, c.Name, c.Reference, string(c.Before), string(c.Verdict), c.Reason})
		}
		p.Parts = append(p.Parts, t)
	}
	p.Parts = append(p.Parts, m)
	return p
}

// containersAfter audits this node before and after a change, as far as the runtime
// answers, and returns the containers whose verdicts differ.
func containersAfter(ctx context.Context, cfg config.Config, host whatif.Host, stderr io.Writer) (changed []containerChange) {
	before, err := auditNode(ctx, cfg, host.Before, stderr)
	var after audit.Report
	if err == nil {
		after, err = auditNode(ctx, cfg, host.Facts, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "imagefit: running containers are left out: %s\n", decision.Line(err.Error()))
		return nil
	}
	was := map[string]audit.Verdict{}
	for _, c := range before.Containers {
		was[c.ID] = c.Verdict
	}
	for _, c := range after.Containers {
		if verdict, known := was[c.ID]; known && verdict != c.Verdict {
			changed = append(changed, containerChange{verdict, c})
		}
	}
	return changed
}

func printContainerChanges(b *cli.Console, changed []containerChange) {
	if len(changed) == 0 {
		return
	}
	table := b.Table()
	fmt.Fprintln(table, "BEFORE\tAFTER\tPOD\tCONTAINER\tIMAGE\tREASON")
	for _, c := range changed {
		fmt.Fprintf(table, "%s\t", c.Before)
		printFinding(b, table, c.Finding, strings.Trim(c.Namespace+"/"+c.Pod, "/"), c.Name)
	}
	table.Flush()
	b.WriteString("\n")
}
