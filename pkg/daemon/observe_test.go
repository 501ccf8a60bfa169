package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/policy"
)

// asker asks a daemon over its socket.
type asker struct {
	t      *testing.T
	client http.Client
}

func newAsker(t *testing.T, socket string) *asker {
	return &asker{t, http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}}
}

func (a *asker) get(path string) (int, string) {
	a.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		resp, err := a.client.Get("http://daemon" + path)
		if err != nil && time.Now().Before(deadline) {
			continue // it does not listen yet
		}
		if err != nil {
			a.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			a.t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

// observed is a daemon whose health is served on a socket.
func observed(t *testing.T, program string, checks ...health.Check) (*Daemon, *asker) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	text := "version = 1\nstate_dir = \"" + filepath.Join(dir, "state") + "\"\n[facts]\nroot = \"" + dir + "\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sources := config.Sources{File: file}
	loaded, err := sources.Load()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), Options{
		Program: program, Version: "v1.2.3", Sources: sources, Config: loaded.Config,
		Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar),
	})
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "http.sock")
	t.Cleanup(d.Observe("unix://"+socket, checks...))
	return d, newAsker(t, socket)
}

func TestObserveServesHealthStatusAndMetrics(t *testing.T) {
	t.Parallel()
	down := health.Check{Name: "runtime", Probe: func(context.Context) error { return errors.New("connection refused") }}
	d, a := observed(t, decisionlog.Proxy, down)
	d.Record(decisionlog.Record{Time: time.Now(), Action: policy.Refused, Reference: "registry.example/secret-app:1", Namespace: "shop"})
	d.Metrics.Request("resolve", errors.New("x"), time.Second)

	if code, body := a.get("/readyz"); code != 503 || body != "[-] runtime: connection refused\nnot ready\n" {
		t.Errorf("readyz %d %q", code, body)
	}
	_, metrics := a.get("/metrics")
	for _, line := range []string{
		`imagefit_ready 0`, `imagefit_check_passing{check="runtime"} 0`, `imagefit_check_passing{check="facts"} 1`,
		`imagefit_decisions_total{action="refused",program="cri-proxy",would="nothing"} 1`,
		`imagefit_registry_requests_total{op="resolve",result="unreachable"} 1`,
		`imagefit_build_info{program="cri-proxy",version="v1.2.3"} 1`, `imagefit_cache_files{kind="objects"} 0`,
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	_, text := a.get("/status")
	var s health.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if s.Schema != 1 || s.Program != "cri-proxy" || s.Version != "v1.2.3" || s.Ready || s.Mode != "enforce" || len(s.Checks) != 4 ||
		s.Decisions["refused"] != 1 || s.Cache.Limit != 256<<20 || s.Facts.Fingerprint == "" || s.Config.Failed ||
		time.Since(s.Facts.Refreshed) > time.Minute || time.Since(s.Started) > time.Minute || time.Since(s.Config.Loaded) > time.Minute {
		t.Errorf("status %s", text)
	}
	if strings.Contains(text+metrics, "secret-app") || strings.Contains(text+metrics, "shop") {
		t.Error("an image or a namespace is visible to everyone")
	}

	d.sources.Set = []string{"policy.mode=dream"}
	d.reload()
	d.sources.Set = nil
	if _, text := a.get("/status"); !strings.Contains(text, `"failed": true`) {
		t.Errorf("after a bad configuration: %s", text)
	}
	if _, metrics := a.get("/metrics"); !strings.Contains(metrics, "imagefit_config_last_reload_successful 0\n") {
		t.Error("no metric tells of the bad configuration")
	}
	d.reload()
	if _, text := a.get("/status"); !strings.Contains(text, `"failed": false`) {
		t.Errorf("after a good configuration: %s", text)
	}
}

func TestUnwritableStateDirectoryIsAWarning(t *testing.T) {
	t.Parallel()
	d, a := observed(t, decisionlog.Plugin)
	dir := d.Config().StateDir
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.stateCheck().Probe(t.Context()); err != nil {
		t.Errorf("a folder that was deleted: %v", err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.Record(decisionlog.Record{Time: time.Now(), Action: policy.Refused})
	if err := d.stateCheck().Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot write the decision log") {
		t.Errorf("a file in the folder's place: %v", err)
	}
	if code, body := a.get("/readyz?verbose"); code != 200 || !strings.Contains(body, "[!] state: cannot write the decision log") {
		t.Errorf("readyz %d %q", code, body)
	}
	if _, metrics := a.get("/metrics"); !strings.Contains(metrics, "imagefit_journal_errors_total 1\n") {
		t.Error("the decision log's error is not counted")
	}
}

func TestFactsCheckFailsWhenFactsAreStale(t *testing.T) {
	t.Parallel()
	d, _ := observed(t, decisionlog.Plugin)
	if err := d.factsCheck().Probe(t.Context()); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		refresh, age time.Duration
		stale        bool
	}{
		{time.Minute, 4 * time.Minute, false}, {time.Minute, 6 * time.Minute, true}, {time.Second, 4 * time.Minute, false},
		{time.Hour, 4 * time.Hour, false}, {time.Hour, 6 * time.Hour, true},
	} {
		err := staleness(test.age, test.refresh)
		if (err != nil) != test.stale {
			t.Errorf("every %s, of %s ago: %v", test.refresh, test.age, err)
		}
	}
}
