package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/health"
)

const (
	// statusTimeout is how long a daemon may take to answer.
	statusTimeout = 3 * time.Second
	// maxStatus bounds the response of a daemon.
	maxStatus = 1 << 20
	// exitNotReady is the exit code when a daemon is not ready.
	exitNotReady = 3
)

// statusCommand shows the status of the daemons.
type statusCommand struct {
	last   int
	output cli.Output
}

func newStatusCommand() *cobra.Command {
	var c statusCommand
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether both daemons of this node are ready",
		Long: `Status queries cri-proxy and nri-plugin at proxy.http_listen and nri.http_listen:
version, mode, failing checks, age of the facts and size of the cache. As root it
also shows the last decisions. A daemon that does not answer is not ready; one
whose http_listen is "" is not queried and not considered.

Exit code 0: ready; 3: one is not ready or does not answer; 1: error.`,
		Example: `  imagefit status
  imagefit status --last 20
  imagefit status -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	cmd.Flags().IntVar(&c.last, "last", 5, "show the last N decisions (0 = none)")
	cli.Complete(cmd, "last")
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// nodeStatus is the status of the daemons of a node.
type nodeStatus struct {
	Ready            bool                 `json:"ready"`
	Daemons          []daemonStatus       `json:"daemons"`
	Decisions        []decisionlog.Record `json:"decisions"` // the oldest first
	DecisionsProblem string               `json:"decisions_problem,omitempty"`
}

// daemonStatus is the response of one daemon, or why there is none.
type daemonStatus struct {
	Program string         `json:"program"`
	Address string         `json:"address"` // empty if it is not queried
	Status  *health.Status `json:"status,omitempty"`
	Problem string         `json:"problem,omitempty"`
}

func (c statusCommand) run(cmd *cobra.Command) error {
	if c.last < 0 {
		return fmt.Errorf("--last %d: want 0 or more", c.last)
	}
	cfg, err := cli.LoadConfig(cmd)
	if err != nil {
		return err
	}
	s := c.collect(cmd.Context(), cfg)
	err = c.output.Print(cmd, s, func(b *cli.Console) { printStatus(b, s, time.Now()) })
	switch {
	case err != nil:
		return err
	case cfg.Proxy.HTTPListen == "" && cfg.NRI.HTTPListen == "":
		return errors.New(`cannot determine whether the daemons are ready: proxy.http_listen and nri.http_listen are both ""`)
	case !s.Ready:
		return cli.ExitError(exitNotReady)
	}
	return nil
}

func (c statusCommand) collect(ctx context.Context, cfg config.Config) nodeStatus {
	s := nodeStatus{Ready: true, Decisions: []decisionlog.Record{}}
	for _, d := range []daemonStatus{
		{Program: decisionlog.Proxy, Address: cfg.Proxy.HTTPListen},
		{Program: decisionlog.Plugin, Address: cfg.NRI.HTTPListen},
	} {
		if d.Address != "" {
			d.query(ctx)
			s.Ready = s.Ready && d.Status != nil && d.Status.Ready
		}
		s.Daemons = append(s.Daemons, d)
	}
	s.Ready = s.Ready && cfg.Proxy.HTTPListen+cfg.NRI.HTTPListen != ""
	if c.last == 0 {
		return s
	}
	found, err := decisionlog.Open(cfg.StateDir).Read(decisionlog.Filter{})
	if err != nil {
		s.DecisionsProblem = denied(err, cfg.StateDir).Error()
	}
	s.Decisions = append(s.Decisions, found[max(0, len(found)-c.last):]...)
	return s
}

// query queries the daemon. The response may come from any other program.
func (d *daemonStatus) query(ctx context.Context) {
	status, err := getStatus(ctx, d.Address)
	switch {
	case err != nil:
		d.Problem = fmt.Sprintf("does not answer at %s: %v", d.Address, err)
	case status.Program != d.Program:
		d.Problem = fmt.Sprintf("%s is %q, not %s", d.Address, status.Program, d.Program)
	case status.Schema != health.Schema:
		d.Problem = fmt.Sprintf("its status has version %d, want %d: use the imagefit of the same release", status.Schema, health.Schema)
	default:
		d.Status = status
	}
}

func getStatus(ctx context.Context, address string) (*health.Status, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		network, address = "unix", path
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := http.Client{Timeout: statusTimeout, CheckRedirect: stay, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err) // without the made-up URL
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it returned %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, err := fsutil.ReadAll("status", resp.Body, maxStatus)
	if err != nil {
		return nil, err
	}
	status := new(health.Status)
	if err := json.Unmarshal(body, status); err != nil {
		return nil, fmt.Errorf("its response is not a status: %w", err)
	}
	return status, nil
}

// printStatus prints the status as text.
func printStatus(b *cli.Console, s nodeStatus, now time.Time) {
	table := b.Table()
	fmt.Fprintln(table, "PROGRAM\tVERSION\tMODE\tUP\tSTATE")
	for _, d := range s.Daemons {
		fmt.Fprintf(table, "%s\t%s\n", d.Program, d.line(now))
	}
	table.Flush()
	begin := "\n"
	for _, d := range s.Daemons {
		if d.Status != nil {
			fmt.Fprintf(table, "%s%s\n", begin, d.Program)
			printDetails(table, d.Status, now)
			begin = ""
		}
	}
	table.Flush()
	switch {
	case s.DecisionsProblem != "":
		fmt.Fprintf(b, "\nlast decisions: %s\n", decision.Line(s.DecisionsProblem))
	case len(s.Decisions) > 0:
		b.WriteString("\n")
		printRecords(b, s.Decisions)
	}
}

// httpKey is the key of a daemon's address.
func httpKey(program string) string {
	if program == decisionlog.Proxy {
		return "proxy.http_listen"
	}
	return "nri.http_listen"
}

func (d daemonStatus) line(now time.Time) string {
	switch {
	case d.Address == "":
		return "-\t-\t-\tnot queried: " + httpKey(d.Program) + ` is ""`
	case d.Status == nil:
		return "-\t-\t-\t" + decision.Line(d.Problem)
	}
	state := "ready"
	if !d.Status.Ready {
		state = "not ready"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s", decision.Line(d.Status.Version), decision.Line(d.Status.Mode), ago(d.Status.Started, now), state)
}

// printDetails prints the details of a daemon that answered.
func printDetails(w io.Writer, s *health.Status, now time.Time) {
	for _, c := range s.Checks {
		state := "failing"
		if c.Optional {
			state = "warning"
		}
		if !c.OK {
			fmt.Fprintf(w, "  %s\t%s: %s\n", state, decision.Line(c.Name), decision.Line(c.Problem))
		}
	}
	for _, h := range s.SilentHosts {
		host := h.Host
		if h.Registry != h.Host {
			host += " for " + h.Registry
		}
		fmt.Fprintf(w, "  breaker open\t%s: did not list referrers in time, pulls have not waited for it for %s\n",
			decision.Line(host), ago(h.Since, now))
	}
	fmt.Fprintf(w, "  facts\trefreshed %s ago, changed %s\n", ago(s.Facts.Refreshed, now), textutil.Count(s.Facts.Changes, "time"))
	fmt.Fprintf(w, "  cache\t%.1f of %d MiB, %d files\n", float64(s.Cache.Bytes)/(1<<20), s.Cache.Limit>>20, s.Cache.Files)
	text := "loaded " + ago(s.Config.Loaded, now) + " ago"
	if s.Config.Failed {
		text += "; the one on disk is not valid, run imagefit config check"
	}
	fmt.Fprintf(w, "  configuration\t%s\n", text)
	for _, c := range s.Clients {
		last := ""
		if c.LastImageCall != nil {
			last = ", the last " + ago(*c.LastImageCall, now) + " ago"
		}
		fmt.Fprintf(w, "  client\t%s (pid %d): %s, %d of them for images%s\n",
			decision.Line(cmp.Or(c.Process, "unknown process")), c.PID, textutil.Count(c.Calls, "call"), c.ImageCalls, last)
	}
	if n := s.Names; n != nil {
		fmt.Fprintf(w, "  names\ttags kept by the %s (%s), %s kept by the proxy\n", decision.Line(n.Keeper), decision.Line(n.Reason), textutil.Count(n.Kept, "name"))
	}
	if n := s.NRI; n != nil {
		fmt.Fprintf(w, "  runtime\t%s\n", sessionsOf(*n))
	}
	printAudit(w, s.Audit, now)
	var counts []string
	for _, action := range slices.Sorted(maps.Keys(s.Decisions)) {
		if s.Decisions[action] > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", s.Decisions[action], decision.Line(action)))
		}
	}
	if len(counts) == 0 {
		counts = []string{"none"}
	}
	fmt.Fprintf(w, "  decisions\t%s since start\n", strings.Join(counts, ", "))
}

// sessionsOf says how often nri-plugin was connected to the runtime. One that comes back
// each time and is dropped again shows it by the counts.
func sessionsOf(n health.NRIStatus) string {
	text := "not connected"
	if n.Connected {
		text = "connected"
	}
	return fmt.Sprintf("%s, %s since start, %d of them ended by the runtime", text, textutil.Count(n.Sessions, "session"), n.Disconnects)
}

// ago is the age of something in at most two units.
func ago(at, now time.Time) string {
	age := max(0, now.Sub(at))
	switch {
	case age < time.Minute:
		return fmt.Sprintf("%ds", int(age.Seconds()))
	case age < time.Hour:
		return fmt.Sprintf("%dm", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(age.Hours()), int(age.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(age.Hours())/24, int(age.Hours())%24)
}
