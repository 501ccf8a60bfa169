package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ScrapeInterval is how often Prometheus reads the metrics of the daemons.
const ScrapeInterval = 2 * time.Second

// Prometheus is a real Prometheus that scrapes daemons of this machine.
type Prometheus struct {
	Process *Process

	work    *workDir
	url     string
	closers []func() error
}

// StartPrometheus scrapes the daemons behind unix sockets, each by its name as instance.
func StartPrometheus(ctx context.Context, sockets map[string]string) (*Prometheus, error) {
	bin, err := Peers(ctx, "all")
	if err != nil {
		return nil, err
	}
	work, err := newWorkDir()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(work.path, "prometheus.yml")
	p := &Prometheus{work: work, Process: &Process{
		Path: filepath.Join(bin, "prometheus"), Log: filepath.Join(work.path, "prometheus.log"),
		Args: []string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(work.path, "data"), "--web.listen-address=127.0.0.1:0"},
	}}
	if err := p.start(ctx, config, sockets); err != nil {
		return nil, errors.Join(fmt.Errorf("start prometheus: %w", err), p.Stop())
	}
	return p, nil
}

func (p *Prometheus) start(ctx context.Context, config string, sockets map[string]string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "global: {scrape_interval: %[1]s, scrape_timeout: %[1]s}\nscrape_configs:\n- job_name: imagefit\n  static_configs:\n", ScrapeInterval)
	for instance, socket := range sockets {
		handler, idle := unixProxy(socket)
		front := httptest.NewServer(handler)
		p.closers = append(p.closers, func() error { front.Close(); return idle() })
		fmt.Fprintf(&text, "  - targets: [%q]\n    labels: {instance: %q}\n", front.Listener.Addr(), instance)
	}
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		return err
	}
	if err := p.Process.Start(); err != nil {
		return err
	}
	listens := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	return p.Process.await(ctx, func() bool {
		log, err := os.ReadFile(p.Process.Log)
		match := listens.FindSubmatch(log)
		if err != nil || match == nil {
			return false
		}
		p.url = "http://" + string(match[1])
		ready, err := p.ask(ctx, "/-/ready", nil)
		return err == nil && ready.Body.Close() == nil
	})
}

func (p *Prometheus) ask(ctx context.Context, path string, values url.Values) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+values.Encode(), nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK {
		_ = reply.Body.Close()
		return nil, fmt.Errorf("ask prometheus for %s: %s", path, reply.Status)
	}
	return reply, nil
}

// Series is what a query returns for one set of labels.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is a value at a time.
type Point struct{ At, Value float64 }

// Range evaluates a query from one time to another.
func (p *Prometheus) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]Series, error) {
	seconds := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
	reply, err := p.ask(ctx, "/api/v1/query_range", url.Values{
		"query": {query}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {step.String()}})
	if err != nil {
		return nil, fmt.Errorf("%w of %s", err, query)
	}
	defer func() { _ = reply.Body.Close() }()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.NewDecoder(reply.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("read what prometheus answers to %s: %w", query, err)
	}
	var all []Series
	for _, result := range answer.Data.Result {
		s := Series{Labels: result.Metric}
		for _, pair := range result.Values {
			at, _ := pair[0].(float64)
			text, _ := pair[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("read what prometheus answers to %s: %w", query, err)
			}
			s.Points = append(s.Points, Point{at, value})
		}
		all = append(all, s)
	}
	return all, nil
}

// CheckRules has promtool check a file of rules.
func CheckRules(ctx context.Context, file string) error {
	bin, err := Peers(ctx, "all")
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "promtool"), "check", "rules", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Stop ends it and removes what it wrote.
func (p *Prometheus) Stop() error {
	err := p.Process.Stop(20 * time.Second)
	for _, closer := range p.closers {
		err = errors.Join(err, closer())
	}
	return errors.Join(err, p.work.remove())
}
