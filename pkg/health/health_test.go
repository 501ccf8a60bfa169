package health

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check is a check that reports the current value of problem.
func check(name string, optional bool, problem *atomic.Value) Check {
	return Check{Name: name, Optional: optional, Probe: func(context.Context) error {
		if err, ok := problem.Load().(error); ok {
			return err
		}
		return nil
	}}
}

func newServer(t *testing.T, log *slog.Logger, checks ...Check) *Server {
	t.Helper()
	s := New(Options{
		Checks: checks, Log: log, Status: func() Status { return Status{Program: "some-daemon", Mode: "audit"} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "imagefit_ready 1\n") }),
	})
	t.Cleanup(s.Close)
	return s
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ask asks a server without a network.
func ask(s *Server, method, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, httptest.NewRequest(method, path, nil))
	return answer
}

func TestReadyzAndStatusReportFailingChecks(t *testing.T) {
	t.Parallel()
	broken := errors.New("dial\nhttps://u:hunter2@h/?hunter2 " + strings.Repeat("x", 2*maxProblem))
	for name, test := range map[string]struct {
		path             string
		runtime, state   error
		code             int
		body, notInBody  string
		line             int
		statusReady      bool
		problemsInStatus int
	}{
		"all pass":           {"/readyz", nil, nil, 200, "ready\n", "runtime", 1, true, 0},
		"all pass, verbose":  {"/readyz?verbose", nil, nil, 200, "[+] runtime: ok\n[+] state: ok\nready\n", "!", 3, true, 0},
		"one fails":          {"/readyz", broken, nil, 503, "[-] runtime: dial; https://h/", "hunter2", 2, false, 1},
		"one fails, verbose": {"/readyz?verbose=1", broken, nil, 503, "[+] state: ok\nnot ready\n", "hunter2", 3, false, 1},
		"a warning":          {"/readyz", nil, broken, 200, "ready\n", "state", 1, true, 1},
		"a warning, verbose": {"/readyz?verbose", nil, broken, 200, "[!] state: dial", "hunter2", 3, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var runtime, state atomic.Value
			for value, err := range map[*atomic.Value]error{&runtime: test.runtime, &state: test.state} {
				if err != nil {
					value.Store(err)
				}
			}
			s := newServer(t, discard(), check("runtime", false, &runtime), check("state", true, &state))
			got := ask(s, http.MethodGet, test.path)
			body := got.Body.String()
			if got.Code != test.code || !strings.Contains(body, test.body) || strings.Contains(body, test.notInBody) ||
				strings.Count(body, "\n") != test.line || len(body) > 2*maxProblem {
				t.Errorf("answer %d %q", got.Code, body)
			}
			if livez := ask(s, http.MethodGet, "/livez"); livez.Code != 200 || livez.Body.String() != "ok\n" {
				t.Errorf("livez %d %q", livez.Code, livez.Body)
			}
			var status Status
			if err := json.Unmarshal(ask(s, http.MethodGet, "/status").Body.Bytes(), &status); err != nil {
				t.Fatal(err)
			}
			problems := 0
			for _, c := range status.Checks {
				if !c.OK && c.Problem != "" && !strings.Contains(c.Problem, "hunter2") {
					problems++
				}
			}
			if status.Schema != 1 || status.Ready != test.statusReady || status.Mode != "audit" || len(status.Checks) != 2 || problems != test.problemsInStatus {
				t.Errorf("status %+v", status)
			}
		})
	}
}

func TestEveryResponseIsMarkedAsNotToBeCached(t *testing.T) {
	t.Parallel()
	s := newServer(t, discard())
	for name, test := range map[string]struct {
		method, path string
		code         int
	}{
		"metrics": {http.MethodGet, "/metrics", 200},
		"HEAD":    {http.MethodHead, "/livez", 200},
		"POST":    {http.MethodPost, "/readyz", 405},
		"PUT":     {http.MethodPut, "/metrics", 405},
		"DELETE":  {http.MethodDelete, "/status", 405},
		"unknown": {http.MethodGet, "/debug/pprof/", 404},
		"root":    {http.MethodGet, "/", 404},
		"dots":    {http.MethodGet, "/livez/../../etc/passwd", 307},
	} {
		got := ask(s, test.method, test.path)
		if got.Code != test.code || got.Header().Get("Cache-Control") != "no-store" || got.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", name, got.Code, got.Header())
		}
	}
}

// TestHangingCheckRunsOnceAndDelaysNoClient: /livez waits for nothing at all.
func TestHangingCheckRunsOnceAndDelaysNoClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var probes atomic.Int32
		release := make(chan struct{})
		s := newServer(t, discard(), Check{Name: "runtime", Probe: func(context.Context) error { // ignores its deadline
			probes.Add(1)
			<-release
			return errors.New("late")
		}})
		start := time.Now()
		if ask(s, http.MethodGet, "/livez").Code != 200 || time.Since(start) > 0 {
			t.Error("/livez waits")
		}
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if _, results := s.Check(); results[0].OK || !strings.Contains(results[0].Problem, "no answer within 1s") {
					t.Errorf("%+v", results)
				}
			})
		}
		group.Wait()
		if took := time.Since(start); took > 2*probeTimeout || probes.Load() != 1 {
			t.Errorf("%d probes, %s", probes.Load(), took)
		}
		close(release)
		synctest.Wait()
		if _, results := s.Check(); results[0].Problem != "late" {
			t.Errorf("%+v", results)
		}
	})
}

func TestResultsAreReusedForASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var probes atomic.Int32
		s := newServer(t, discard(), Check{Name: "runtime", Probe: func(ctx context.Context) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > probeTimeout {
				t.Error("a probe has no deadline")
			}
			probes.Add(1)
			return nil
		}})
		for range 100 { // for 10 seconds
			s.Check()
			time.Sleep(100 * time.Millisecond)
		}
		if got := probes.Load(); got != 10 {
			t.Errorf("%d probes in 10 s", got)
		}
	})
}
