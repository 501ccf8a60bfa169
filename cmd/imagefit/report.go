package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/page"
)

// reportCommand writes a page about this node.
type reportCommand struct {
	since string
	names bool
}

func newReportCommand() *cobra.Command {
	var c reportCommand
	cmd := &cobra.Command{
		Use:   "report FILE",
		Short: "Write one HTML page about this node, for a ticket",
		Long: `Report writes what imagefit knows of this node to one HTML page that needs
nothing else: the state of the daemons, what would not be admitted now, the images
and their variants, the last decisions and how long they took, the configuration
with the origin of each value, and the facts with theirs. With "-" as FILE it is
written to standard output. What cannot be read is named on the page; as root
everything can.

Credentials are left out. So are the names of this machine and of hosts, such as
private registries, which are called host-1 and so on, and the facts that identify
a machine, as in "imagefit facts snapshot"; --names keeps these. Names of images,
pods and namespaces are kept: read the page before you share it.`,
		Example: `  sudo imagefit report node.html
  sudo imagefit report node.html --since 24h --names`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&c.since, "since", "72h", "decisions newer than a duration, such as 24h, or a time")
	cmd.Flags().BoolVar(&c.names, "names", false, "keep the names of hosts, and the facts that identify this machine")
	cli.Complete(cmd, "since")
	return cmd
}

func (c *reportCommand) run(cmd *cobra.Command, path string) error {
	now := time.Now()
	since, err := sinceTime(c.since, now)
	if err != nil {
		return err
	}
	src, err := cli.ConfigSources(cmd)
	if err != nil {
		return err
	}
	r := report{
		usable: src.LoadUsable(decisionlog.Proxy, decisionlog.Plugin), since: since, now: now, names: c.names, stderr: cmd.ErrOrStderr(),
	}
	p := r.page(cmd.Context())
	if path == "-" {
		return p.Write(cmd.OutOrStdout())
	}
	if err := fsutil.WriteAtomic(path, fsutil.WriteOptions{}, p.Write); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// report is what a page about this node is made of.
type report struct {
	usable config.Usable
	since  time.Time
	now    time.Time
	names  bool
	stderr io.Writer

	hide *hider
}

// page collects everything.
func (r *report) page(ctx context.Context) page.Page {
	cfg := r.usable.Config
	status := (statusCommand{}).collect(ctx, cfg)
	list := listImages(ctx, cfg, r.stderr)
	records, err := decisionlog.Open(cfg.StateDir).Read(decisionlog.Filter{Since: r.since})
	problem := ""
	if errors.Is(err, fs.ErrPermission) {
		fmt.Fprintln(r.stderr, "imagefit: what only root may read is missing on the page, which says where: try sudo imagefit report")
	}
	if err != nil {
		problem = denied(err, cfg.StateDir).Error()
	}
	machine, _ := os.Hostname() // without one, there is nothing to hide
	r.hide = newHider(machine, r.names)
	r.hide.hostsOf(cfg, list, records, status)
	parts := []page.Part{r.health(status)}
	parts = append(parts, r.audit(ctx)...)
	parts = append(parts, r.images(list), r.decisions(records, problem))
	parts = append(parts, latencies(records)...)
	parts = append(parts, r.configuration())
	parts = append(parts, r.facts(ctx)...)
	for i := range parts {
		parts[i] = r.hide.part(parts[i])
	}
	lead := fmt.Sprintf("Written by imagefit %s on %s.", cli.BuildVersion(version), r.now.UTC().Format(time.DateTime+" UTC"))
	if r.names {
		lead = machine + ". " + lead
	} else {
		lead += " Credentials, names of hosts and what identifies this machine are left out."
	}
	return page.Page{Title: "imagefit on a node", Lead: []string{lead}, Parts: parts}
}
