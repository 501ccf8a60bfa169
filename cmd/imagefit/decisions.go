package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// decisionsCommand lists the decisions of this node.
type decisionsCommand struct {
	since  string
	limit  int
	follow bool
	output cli.Output
	filter decisionlog.Filter
}

func newDecisionsCommand() *cobra.Command {
	var c decisionsCommand
	cmd := &cobra.Command{
		Use:   "decisions",
		Short: "List the decisions of this node, and follow new ones",
		Long: `Decisions lists what cri-proxy and nri-plugin decided on this node, oldest first:
pulls and containers, what was done with each, and why. It reads the decision log
in state_dir, which only root may, and needs neither daemon to run.

  pulled     the variant that fits best is on the node
  forwarded  the request went to the runtime unchanged
  refused    nothing fits
  failed     the runtime did not pull what was chosen, or the kubelet gave up
  admitted   the container may be created
  unfit      found running although it does not fit

WOULD is the action that audit mode, an exemption or the runtime prevented;
--action finds it as well. DECIDED is how long the decision took, TOOK how long
the whole call did, with the pull by the runtime. --reason takes the reason_code
of the JSON output. JSON is one list, or with -f one object per line; YAML one
list, or one document for each.`,
		Example: `  imagefit decisions --since 1h
  imagefit decisions --action refused --namespace shop
  imagefit decisions --reason registry_timeout
  imagefit decisions --reference registry.example/app -o json
  imagefit decisions -f`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.since, "since", "", "only decisions newer than a duration, such as 1h, or a time, such as 2026-03-04T12:00:00Z")
	cli.OneOf(cmd, &c.filter.Action, "action", "", "only decisions with this action, done or prevented", policy.Actions())
	cli.OneOf(cmd, &c.filter.Reason, "reason", "", "only pulls that were done as they were for this reason", policy.Reasons())
	cli.OneOf(cmd, &c.filter.Program, "program", "", "only decisions of this daemon", decisionlog.Programs())
	flags.StringVar(&c.filter.Namespace, "namespace", "", "only pods of this namespace")
	flags.StringVar(&c.filter.Pod, "pod", "", "only the pod with this name")
	flags.StringVar(&c.filter.Reference, "reference", "", "only images whose reference contains this")
	flags.IntVar(&c.limit, "limit", 100, "show the last N decisions (0 = all)")
	flags.BoolVarP(&c.follow, "follow", "f", false, "follow new decisions")
	for _, flag := range []string{"since", "namespace", "pod", "reference", "limit"} {
		cli.Complete(cmd, flag)
	}
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// validate completes the filter and the limit.
func (c *decisionsCommand) validate() (err error) {
	switch {
	case c.limit < 0:
		return fmt.Errorf("--limit %d: want 0 or more", c.limit)
	case c.limit == 0:
		c.limit = math.MaxInt
	}
	c.filter.Since, err = sinceTime(c.since, time.Now())
	return err
}

func (c decisionsCommand) run(cmd *cobra.Command) error {
	if err := c.validate(); err != nil {
		return err
	}
	cfg, err := cli.LoadConfig(cmd)
	if err != nil {
		return err
	}
	log := decisionlog.Open(cfg.StateDir)
	if c.follow {
		return denied(c.print(cmd, log), cfg.StateDir)
	}
	found, err := log.Read(c.filter)
	if err != nil {
		return denied(err, cfg.StateDir)
	}
	shown := found[max(0, len(found)-c.limit):]
	if len(shown) < len(found) {
		cmd.PrintErrf("imagefit: showing the last %d of %d, --limit 0 shows all\n", len(shown), len(found))
	}
	if len(found) == 0 {
		if _, err := os.Stat(cfg.StateDir); errors.Is(err, fs.ErrNotExist) {
			cmd.PrintErrf("imagefit: no decisions: %s (state_dir) does not exist, "+
				"so no daemon has run with this configuration yet\n", cfg.StateDir)
		} else {
			cmd.PrintErrf("imagefit: no matching decisions in %s\n", cfg.StateDir)
		}
	}
	return c.output.Print(cmd, append([]decisionlog.Record{}, shown...), func(b *cli.Console) {
		printRecords(b, shown)
	})
}

// print prints the last records and follows new ones.
func (c decisionsCommand) print(cmd *cobra.Command, log *decisionlog.Log) error {
	out := cmd.OutOrStdout()
	switch c.output {
	case cli.YAML: // documents, as JSON has lines
		return log.Follow(cmd.Context(), c.filter, c.limit, func(r decisionlog.Record) error {
			if _, err := io.WriteString(out, "---\n"); err != nil {
				return err
			}
			return c.output.Print(cmd, r, nil)
		})
	case cli.JSON:
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		return log.Follow(cmd.Context(), c.filter, c.limit, func(r decisionlog.Record) error { return lines.Encode(r) })
	}
	if err := c.output.Print(cmd, nil, func(b *cli.Console) { printRecords(b, nil) }); err != nil {
		return err
	}
	return log.Follow(cmd.Context(), c.filter, c.limit, func(r decisionlog.Record) error {
		return c.output.Print(cmd, nil, func(b *cli.Console) {
			table := b.Table(recordWidths()...)
			printRecord(b, table, r)
			table.Flush()
		})
	})
}

// sinceTime reads a time, or a duration before now.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--since %q: want a duration such as 90m or 24h, or a time such as 2026-03-04T12:00:00Z", text)
	}
	return at, nil
}

// denied explains who may read the decision log.
func denied(err error, stateDir string) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("read the decision log in %s: permission denied: only root may, try sudo imagefit decisions", stateDir)
	}
	return err
}

// recordWidths are those of all columns but the last: new decisions that are followed
// are in the same columns.
func recordWidths() []int { return []int{19, 10, 9, 9, 7, 7, 32} }

// printRecords prints the head of the table and a row for each record.
func printRecords(b *cli.Console, records []decisionlog.Record) {
	table := b.Table(recordWidths()...)
	fmt.Fprintf(table, "TIME\tPROGRAM\tACTION\tWOULD\t%7s\t%7s\tPOD\tIMAGE AND REASON\n", "DECIDED", "TOOK")
	for _, r := range records {
		printRecord(b, table, r)
	}
	table.Flush()
}

func printRecord(b *cli.Console, w io.Writer, r decisionlog.Record) {
	pod := slices.DeleteFunc([]string{r.Namespace, r.Pod, r.Container}, func(part string) bool { return part == "" })
	why := r.Reason
	if why == "" || !strings.Contains(why, r.Reference) { // else it names the image
		why = strings.TrimSuffix(r.Reference+": "+why, ": ")
	}
	if r.Error != "" {
		why += ": " + r.Error
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%7s\t%7s\t%s\t%s\n", r.Time.Local().Format(time.DateTime), decision.Line(r.Program),
		b.Paint(styleOf(string(r.Action)), decision.Line(string(r.Action))), decision.Line(cmp.Or(string(r.Would), "-")),
		durationOf(r.Decided), durationOf(r.Took), decision.Line(cmp.Or(strings.Join(pod, "/"), "-")), decision.Line(why))
}

// durationOf is a duration in a table, where a record has none a dash.
func durationOf(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < 100*time.Microsecond:
		return "<100µs"
	}
	return rounded(d).String()
}
