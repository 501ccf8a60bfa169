package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/health"
)

const (
	// statusTime is how long a daemon may take to answer.
	statusTime = 3 * time.Second
	// maxStatus bounds what is read of an answer.
	maxStatus = 1 << 20
	// exitNotReady is the exit code where a daemon is not ready.
	exitNotReady = 3
)

// statusCommand shows how the daemons of this node do.
type statusCommand struct {
	last   int
	output string
}

func newStatusCommand() *cobra.Command {
	var c statusCommand
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether both daemons of this node do their work",
		Long: `Status asks cri-proxy and nri-plugin at proxy.http_listen and nri.http_listen how
they do: version, mode, what each waits for, how old the facts are and what is
kept. For root it also shows the last decisions. A daemon that does not answer
counts as not ready; one whose http_listen is "" is not asked and does not count.

Exit code 0: ready; 3: one is not ready or does not answer; 1: error.`,
		Example: `  imagefit status
  imagefit status --last 20
  imagefit status -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	cmd.Flags().IntVar(&c.last, "last", 5, "how many of the last decisions to show; 0 is none")
	complete(cmd, "last", nil)
	outputFlag(cmd, &c.output, []string{"text", "json"})
	return cmd
}

// nodeStatus is how the daemons of a node do.
type nodeStatus struct {
	Ready            bool                 `json:"ready"`
	Daemons          []daemonStatus       `json:"daemons"`
	Decisions        []decisionlog.Record `json:"decisions"` // the oldest first
	DecisionsProblem string               `json:"decisions_problem,omitempty"`
}

// daemonStatus is what one daemon said, or why it did not.
type daemonStatus struct {
	Program string         `json:"program"`
	Address string         `json:"address"` // empty where it is not to be asked
	Status  *health.Status `json:"status,omitempty"`
	Problem string         `json:"problem,omitempty"`
}

func (c statusCommand) run(cmd *cobra.Command) error {
	if err := oneOf("-o", c.output, []string{"text", "json"}); err != nil {
		return err
	}
	if c.last < 0 {
		return fmt.Errorf("--last %d: want 0 or more", c.last)
	}
	cfg, err := nodeConfig(cmd)
	if err != nil {
		return err
	}
	s := c.collect(cmd.Context(), cfg)
	if c.output == "json" {
		err = printJSON(cmd.OutOrStdout(), s)
	} else {
		err = printStatus(cmd.OutOrStdout(), s, time.Now())
	}
	switch {
	case err != nil:
		return err
	case cfg.Proxy.HTTPListen == "" && cfg.NRI.HTTPListen == "":
		return errors.New(`whether the daemons are ready cannot be told: proxy.http_listen and nri.http_listen are both ""`)
	case !s.Ready:
		return exitCode(exitNotReady)
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
			d.ask(ctx)
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

// ask asks the daemon. Whoever listens there may say what he wants.
func (d *daemonStatus) ask(ctx context.Context) {
	status, err := getStatus(ctx, d.Address)
	switch {
	case err != nil:
		d.Problem = fmt.Sprintf("does not answer at %s: %v", d.Address, err)
	case status.Program != d.Program:
		d.Problem = fmt.Sprintf("at %s %q answers, not %s", d.Address, status.Program, d.Program)
	case status.Schema != health.Schema:
		d.Problem = fmt.Sprintf("its status has version %d, this imagefit reads version %d: use the one of the same release", status.Schema, health.Schema)
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
	client := http.Client{Timeout: statusTime, CheckRedirect: stay, Transport: &http.Transport{
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
		return nil, errors.Unwrap(err) // without the URL, which is none of anybody's
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, err := fsutil.ReadAll("status", resp.Body, maxStatus)
	if err != nil {
		return nil, err
	}
	status := new(health.Status)
	if err := json.Unmarshal(body, status); err != nil {
		return nil, fmt.Errorf("its answer is no status: %w", err)
	}
	return status, nil
}
