package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/config"
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
	err = c.output.Print(cmd.OutOrStdout(), s, func(w io.Writer) error { return printStatus(w, s, time.Now()) })
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
