package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/policy"
)

// nodeDir is a directory with a configuration whose addresses are sockets that do
// not exist.
func nodeDir(t *testing.T, settings ...string) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	text := "version = 1\nstate_dir = \"" + filepath.Join(dir, "state") + "\"\n" +
		"proxy.http_listen = \"unix://" + filepath.Join(dir, "proxy") + "\"\n" +
		"nri.http_listen = \"unix://" + filepath.Join(dir, "plugin") + "\"\n"
	for _, line := range settings {
		key, _, _ := strings.Cut(line, " ")
		var kept []string
		for old := range strings.SplitSeq(text, "\n") {
			if !strings.HasPrefix(old, key+" ") {
				kept = append(kept, old)
			}
		}
		text = strings.Join(append(kept, line), "\n")
	}
	config = filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, config
}

// serve answers at a socket until the test ends.
func serve(t *testing.T, socket string, handler http.Handler) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
}

// serveStatus serves the status of a daemon as the daemon does.
func serveStatus(t *testing.T, socket, program string, problem error) {
	t.Helper()
	now := time.Now()
	s := health.New(health.Options{
		Checks: []health.Check{
			{Name: "runtime", Probe: func(context.Context) error { return problem }},
			{Name: "state", Optional: true, Probe: func(context.Context) error { return errors.New("disk full") }},
		},
		Log: slog.New(slog.DiscardHandler),
		Status: func() health.Status {
			return health.Status{
				Program: program, Version: "v1.2.3", Started: now.Add(-3 * time.Hour), Mode: "audit",
				Config: health.ConfigStatus{Loaded: now.Add(-time.Hour), Failed: true},
				Facts:  health.FactsStatus{Refreshed: now.Add(-30 * time.Second), Changes: 2},
				SilentHosts: []health.SilentHost{{
					Host: "mirror.example", Registry: "docker.io", Since: now.Add(-2 * time.Minute),
				}},
				NRI:   &health.NRIStatus{Connected: true, Sessions: 9, Disconnects: 8},
				Cache: health.CacheStatus{Files: 7, Bytes: 3 << 19, Limit: 256 << 20}, Decisions: map[string]uint64{"pulled": 4, "refused": 0},
			}
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx, "unix://"+socket) }()
	t.Cleanup(func() { cancel(); <-done; s.Close() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the daemon does not listen")
		}
	}
}

func keep(t *testing.T, dir string, records ...decisionlog.Record) {
	t.Helper()
	log := decisionlog.Open(filepath.Join(dir, "state"))
	for _, r := range records {
		if err := log.Append(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStatusReportsBothDaemons(t *testing.T) {
	t.Parallel()
	down := errors.New("the runtime at /x is not answering")
	for name, test := range map[string]struct {
		settings []string
		start    func(t *testing.T, proxy, plugin string)
		code     int // exit code, or 1 for an error
		want     []string
	}{
		"both ready": {nil, func(t *testing.T, proxy, plugin string) {
			serveStatus(t, proxy, "cri-proxy", nil)
			serveStatus(t, plugin, "nri-plugin", nil)
		}, 0, []string{"v1.2.3    audit   3h0m   ready", "state: disk full",
			"mirror.example for docker.io: did not list referrers in time, pulls have not waited for it for 2m", "refreshed 30s ago, changed 2 times", "1.5 of 256 MiB, 7 files",
			"loaded 1h0m ago; the one on disk is not valid, run imagefit config check", "4 pulled since start", "refused     -                 -         -   shop/web",
			"connected, 9 sessions since start, 8 of them ended by the runtime"}},
		"one is not ready": {nil, func(t *testing.T, proxy, plugin string) {
			serveStatus(t, proxy, "cri-proxy", down)
			serveStatus(t, plugin, "nri-plugin", nil)
		}, 3, []string{"not ready", "failing         runtime: the runtime at /x is not answering"}},
		"one is down": {nil, func(t *testing.T, proxy, plugin string) { serveStatus(t, proxy, "cri-proxy", nil) }, 3,
			[]string{"v1.2.3", "does not answer at unix:///", "no such file"}},
		"both down": {nil, func(t *testing.T, proxy, plugin string) {}, 3, []string{"does not answer", "refused     -"}},
		"one is not queried": {[]string{`nri.http_listen = ""`}, func(t *testing.T, proxy, plugin string) { serveStatus(t, proxy, "cri-proxy", nil) }, 0,
			[]string{`not queried: nri.http_listen is ""`, "ready"}},
		"none is queried": {[]string{`nri.http_listen = ""`, `proxy.http_listen = ""`}, func(t *testing.T, proxy, plugin string) {}, 1,
			[]string{`not queried: nri.http_listen is ""`, `not queried: proxy.http_listen is ""`}},
		"another program": {nil, func(t *testing.T, proxy, plugin string) {
			serveStatus(t, proxy, "nri-plugin", nil)
			serveStatus(t, plugin, "nri-plugin", nil)
		}, 3, []string{`is "nri-plugin", not cri-proxy`}},
		"other services": {nil, func(t *testing.T, proxy, plugin string) {
			serve(t, proxy, http.RedirectHandler("http://elsewhere.example/", http.StatusFound))
			serve(t, plugin, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"program": "nri-plugin", "schema": 2}`))
			}))
		}, 3, []string{"it returned 302 Found", "its status has version 2, want 1"}},
		"rubbish": {nil, func(t *testing.T, proxy, plugin string) {
			serve(t, proxy, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"schema": 1, "program": "cri-proxy", "ready": true, "mode": "\u001b[2J", "checks": [{"problem": "\u001b[31m"}]}`))
			}))
			serve(t, plugin, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for range 20 {
					_, _ = w.Write(make([]byte, 1<<20))
				}
			}))
		}, 3, []string{"?[2J", "larger than 1048576 bytes"}},
		"not a status": {nil, func(t *testing.T, proxy, _ string) {
			serve(t, proxy, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ready")) }))
		}, 3, []string{"its response is not a status"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, config := nodeDir(t, test.settings...)
			keep(t, dir, decisionlog.Record{Time: time.Now(), Action: policy.Refused, Reference: "app:1", Namespace: "shop", Pod: "web"})
			test.start(t, filepath.Join(dir, "proxy"), filepath.Join(dir, "plugin"))
			got := tool(t, "", "status", "--config", config)
			code := 0
			if c, ok := errors.AsType[cli.ExitError](got.err); ok {
				code = int(c)
			} else if got.err != nil {
				code = 1
			}
			if code != test.code {
				t.Errorf("exit code %d, %v, want %d", code, got.err, test.code)
			}
			for _, text := range test.want {
				if !strings.Contains(got.stdout, text) {
					t.Errorf("there is no %q in:\n%s", text, got.stdout)
				}
			}
			if strings.Contains(got.stdout, "\x1b") {
				t.Errorf("control characters reach the terminal: %q", got.stdout)
			}
		})
	}
}

func TestStatusAsJSONHasTheLastDecisions(t *testing.T) {
	t.Parallel()
	dir, config := nodeDir(t)
	serveStatus(t, filepath.Join(dir, "proxy"), "cri-proxy", nil)
	for i := range 9 {
		keep(t, dir, decisionlog.Record{Time: time.Now(), Action: policy.Pulled, Candidates: i})
	}
	got := tool(t, "", "status", "-o", "json", "--last", "2", "--config", config)
	var s nodeStatus
	if err := json.Unmarshal([]byte(got.stdout), &s); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	if s.Ready || len(s.Daemons) != 2 || !s.Daemons[0].Status.Ready || s.Daemons[1].Status != nil || s.Daemons[1].Problem == "" ||
		len(s.Decisions) != 2 || s.Decisions[1].Candidates != 8 {
		t.Errorf("%s", got.stdout)
	}
	empty := tool(t, "", "status", "-o", "json", "--last", "0", "--config", config)
	if !strings.Contains(empty.stdout, `"decisions": []`) {
		t.Errorf("%s", empty.stdout)
	}
	wantError(t, tool(t, "", "status", "--last", "-1", "--config", config).err, "--last -1")
}

func TestAgoHasAtMostTwoUnits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for age, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m", 47*time.Hour + 5*time.Minute: "47h5m", 50 * time.Hour: "2d2h",
	} {
		if got := ago(now.Add(-age), now); got != want {
			t.Errorf("%s: %s, want %s", age, got, want)
		}
	}
}

func TestDeniedSuggestsSudo(t *testing.T) {
	t.Parallel()
	err := denied(&fs.PathError{Op: "open", Path: "/var/lib/imagefit/decisions.jsonl", Err: fs.ErrPermission}, "/var/lib/imagefit")
	wantError(t, err, "/var/lib/imagefit", "permission denied", "sudo imagefit decisions")
	if err := denied(nil, ""); err != nil {
		t.Error(err)
	}
}
