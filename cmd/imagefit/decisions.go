package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// decisionsCommand lists what was decided on this node.
type decisionsCommand struct {
	since, action, program    string
	namespace, pod, reference string
	limit                     int
	follow                    bool
	output                    string
	decisions                 *decisionlog.Log
	filter                    decisionlog.Filter
}

func newDecisionsCommand() *cobra.Command {
	var c decisionsCommand
	cmd := &cobra.Command{
		Use:   "decisions",
		Short: "List what was decided on this node, and follow it",
		Long: `Decisions lists what cri-proxy and nri-plugin decided on this node, the oldest
first: pulls and containers, what came of each, and why. It reads the journal in
state_dir, which only root may, and needs neither daemon to run. Pulls with
nothing to choose from are not in it.

  pulled     the variant that fits best is on the node
  forwarded  the request went to the runtime unchanged
  refused    nothing fits
  failed     the runtime did not pull what was chosen, or the kubelet gave up
  admitted   the container may be created
  unfit      found running although it does not fit

WOULD is what audit mode, an exemption or the runtime kept from being done;
--action finds that as well. JSON is one list, or with -f one object a line.`,
		Example: `  imagefit decisions --since 1h
  imagefit decisions --action refused --namespace shop
  imagefit decisions --reference registry.example/app -o json
  imagefit decisions -f`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.since, "since", "", "only what is younger than this, such as 1h, or later than a time, such as 2026-03-04T12:00:00Z")
	flags.StringVar(&c.action, "action", "", "only what was done so, or would have been: "+strings.Join(actions(), ", "))
	flags.StringVar(&c.program, "program", "", "only of this daemon: "+strings.Join(decisionlog.Programs(), ", "))
	flags.StringVar(&c.namespace, "namespace", "", "only for pods of this namespace")
	flags.StringVar(&c.pod, "pod", "", "only for pods of this name")
	flags.StringVar(&c.reference, "reference", "", "only images with this in their reference")
	flags.IntVar(&c.limit, "limit", 100, "at most the latest so many; 0 is all")
	flags.BoolVarP(&c.follow, "follow", "f", false, "go on with what is decided from now on")
	complete(cmd, "action", actions())
	complete(cmd, "program", decisionlog.Programs())
	for _, flag := range []string{"since", "namespace", "pod", "reference", "limit"} {
		complete(cmd, flag, nil)
	}
	outputFlag(cmd, &c.output, []string{"text", "json"})
	return cmd
}

func actions() []string {
	var words []string
	for _, a := range policy.Actions() {
		words = append(words, string(a))
	}
	return words
}

func (c decisionsCommand) run(cmd *cobra.Command) error {
	if err := c.parse(); err != nil {
		return err
	}
	cfg, err := nodeConfig(cmd)
	if err != nil {
		return err
	}
	c.decisions = decisionlog.Open(cfg.StateDir)
	if c.follow {
		return denied(c.print(cmd), cfg.StateDir)
	}
	found, err := c.decisions.Read(c.filter)
	if err != nil {
		return denied(err, cfg.StateDir)
	}
	shown := found[max(0, len(found)-c.limit):]
	if len(shown) < len(found) {
		fmt.Fprintf(cmd.ErrOrStderr(), "imagefit: these are the latest %d of %d, --limit 0 shows all\n", len(shown), len(found))
	}
	if len(found) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "imagefit: %s\n", noDecisions(cfg.StateDir))
	}
	if c.output == "json" {
		return printJSON(cmd.OutOrStdout(), append([]decisionlog.Record{}, shown...))
	}
	return printRecords(cmd.OutOrStdout(), shown)
}

// print prints the latest records and follows.
func (c decisionsCommand) print(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	each := func(r decisionlog.Record) error { return printRecord(out, r) }
	if c.output == "json" {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		each = func(r decisionlog.Record) error { return lines.Encode(r) }
	} else if err := printRecords(out, nil); err != nil {
		return err
	}
	return c.decisions.Follow(cmd.Context(), c.filter, c.limit, each)
}

// parse reads the flags.
func (c *decisionsCommand) parse() error {
	if err := oneOf("-o", c.output, []string{"text", "json"}); err != nil {
		return err
	}
	if c.action != "" {
		if err := oneOf("--action", c.action, actions()); err != nil {
			return err
		}
	}
	if c.program != "" {
		if err := oneOf("--program", c.program, decisionlog.Programs()); err != nil {
			return err
		}
	}
	switch {
	case c.limit < 0:
		return fmt.Errorf("--limit %d: want 0 or more", c.limit)
	case c.limit == 0:
		c.limit = math.MaxInt
	}
	since, err := sinceTime(c.since, time.Now())
	if err != nil {
		return err
	}
	c.filter = decisionlog.Filter{
		Since: since, Action: policy.Action(c.action), Program: c.program,
		Namespace: c.namespace, Pod: c.pod, Reference: c.reference,
	}
	return nil
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

// nodeConfig is the configuration of this node as the daemons have it.
func nodeConfig(cmd *cobra.Command) (config.Config, error) {
	src, err := cli.ConfigSources(cmd)
	if err != nil {
		return config.Config{}, err
	}
	loaded, err := src.Load()
	if err != nil {
		return config.Config{}, err
	}
	return loaded.Config, nil
}

// denied says who may read the journal.
func denied(err error, stateDir string) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("read the decisions in %s: permission denied: only root may, try sudo imagefit decisions", stateDir)
	}
	return err
}

// noDecisions says why nothing was found.
func noDecisions(stateDir string) string {
	if _, err := os.Stat(stateDir); errors.Is(err, fs.ErrNotExist) {
		return "no decisions: there is no " + stateDir + " (state_dir), so no daemon ran with this configuration yet"
	}
	return "no decisions of this kind are kept in " + stateDir
}

const recordFormat = "%-19s  %-10s  %-9s  %-9s  %-32s  %s\n"

// printRecords prints one line for each record.
func printRecords(w io.Writer, records []decisionlog.Record) error {
	if _, err := fmt.Fprintf(w, recordFormat, "TIME", "PROGRAM", "ACTION", "WOULD", "POD", "IMAGE AND REASON"); err != nil {
		return err
	}
	for _, r := range records {
		if err := printRecord(w, r); err != nil {
			return err
		}
	}
	return nil
}

func printRecord(w io.Writer, r decisionlog.Record) error {
	_, err := fmt.Fprintf(w, recordFormat, r.Time.Local().Format(time.DateTime), decision.Line(r.Program),
		decision.Line(string(r.Action)), orDash(string(r.Would)), podOf(r), decision.Line(why(r)))
	return err
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return decision.Line(text)
}

// podOf is namespace/pod/container as far as it is known.
func podOf(r decisionlog.Record) string {
	var parts []string
	for _, part := range []string{r.Namespace, r.Pod, r.Container} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return orDash(strings.Join(parts, "/"))
}

// why is the image, unless the reason names it, what was chosen, the reason and
// the error.
func why(r decisionlog.Record) string {
	text := r.Reason
	if !strings.Contains(text, r.Reference) || text == "" {
		text = strings.TrimSuffix(r.Reference+": "+text, ": ")
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}
