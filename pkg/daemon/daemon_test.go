package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLogLevelFiltersMessages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		level string
		want  string // the messages that come through
	}{
		{"debug", "debug info warn error"},
		{"info", "info warn error"},
		{"warn", "warn error"},
		{"error", "error"},
	} {
		var buf bytes.Buffer
		log := cli.NewLogger(&buf, config.Text, logLevel(config.Config{LogLevel: test.level}))
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		log.Error("error", "text", "two\nlines")
		var got []string
		for _, line := range strings.Split(strings.TrimSpace(buf.String()), "\n") {
			_, message, _ := strings.Cut(line, "msg=")
			message, _, _ = strings.Cut(message, " ")
			got = append(got, message)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("level %q lets through %q, want %q", test.level, got, test.want)
		}
	}
}

// configuration has a root with a CPU and a state folder of its own.
func configuration(t *testing.T) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.StateDir = filepath.Join(t.TempDir(), "state")
	cfg.Facts.Root = t.TempDir()
	return cfg
}

// open opens a node that logs to w.
func open(t *testing.T, ctx context.Context, cfg config.Config, w io.Writer) *Daemon { //nolint:revive // t first, as everywhere
	t.Helper()
	level := new(slog.LevelVar)
	d, err := Open(ctx, Options{Program: "some-daemon", Config: cfg, Log: cli.NewLogger(w, config.Text, level), Level: level})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenAppliesTheConfiguration(t *testing.T) {
	t.Parallel()
	cfg := configuration(t)
	cfg.Policy.ExemptNamespaces = []string{"infra"}
	cfg.Cache.ReferrersTTL, cfg.Cache.StaleFor = config.Duration(7*time.Minute), config.Duration(8*time.Minute)
	cfg.Proxy.SelectTimeout = config.Duration(9 * time.Minute)
	cfg.Select.NVIDIARequire = true
	cfg.Select.PreferAnnotations = []config.Preference{{Key: "k", Value: "v", Weight: 3}}
	var buf bytes.Buffer
	d := open(t, t.Context(), cfg, &buf)
	if strings.Contains(buf.String(), "level=ERROR") {
		t.Errorf("log: %s", buf.String())
	}
	snapshot := d.Evaluator(nil).Snapshot()
	rules := snapshot.Rules
	if rules != d.Rules() || rules.Interpreter == nil || snapshot.Facts == nil {
		t.Errorf("snapshot %+v", snapshot)
	}
	if rules.ReferrersTTL != 7*time.Minute || rules.StaleFor != 8*time.Minute || rules.Timeout != 9*time.Minute || !rules.NVIDIARequire {
		t.Errorf("rules %+v", rules)
	}
	if want := (dialect.AnnotationPreference{Key: "k", Value: "v", Weight: 3}); len(rules.Prefer) != 1 || rules.Prefer[0] != want {
		t.Errorf("preferences %+v", rules.Prefer)
	}
	if !policy.EffectiveFor(rules.Policy, "", policy.Pod{Namespace: "infra"}).Exempt || policy.EffectiveFor(rules.Policy, "", policy.Pod{Namespace: "default"}).Exempt {
		t.Errorf("policy %+v", rules.Policy)
	}
	if _, err := os.Stat(filepath.Join(cfg.StateDir, "images")); err != nil {
		t.Error(err)
	}
}

func TestRecordsAreBoundedLoggedAndKept(t *testing.T) {
	t.Parallel()
	cfg := configuration(t)
	var buf bytes.Buffer
	d := open(t, t.Context(), cfg, &buf)
	refused := decisionlog.Record{Time: time.Now(), Action: policy.Refused, Reference: "app:1", Reason: strings.Repeat("x", 9000)}
	d.Record(refused)
	d.Record(decisionlog.Record{Time: time.Now(), Action: policy.Admitted, Reference: "nothing-to-evaluate:1"})
	kept, err := d.Decisions.Read(decisionlog.Filter{})
	if err != nil || len(kept) != 1 || kept[0].Reference != "app:1" || kept[0].Program != "some-daemon" {
		t.Errorf("kept %+v, %v", kept, err)
	}
	if log := buf.String(); strings.Count(log, "msg=decision") != 1 || !strings.Contains(log, "action=refused reference=app:1") || len(log) > 4000 {
		t.Errorf("log: %.4000s", log)
	}
}

// TestOpenWorksWithoutAStateDirectory: there is a file in its place.
func TestOpenWorksWithoutAStateDirectory(t *testing.T) {
	t.Parallel()
	cfg := configuration(t)
	if err := os.WriteFile(cfg.StateDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	d := open(t, t.Context(), cfg, &buf)
	if !strings.Contains(buf.String(), "level=ERROR") || !strings.Contains(buf.String(), cfg.StateDir) {
		t.Errorf("the log does not mention it: %s", buf.String())
	}
	decided := &decision.Decision{Candidates: make([]decision.Candidate, 1)}
	evaluator := d.Evaluator(nil)
	if err := evaluator.Remember("sha256:x", decided, 0); err == nil {
		t.Error("something was kept")
	}
	if _, err := evaluator.Recall(evaluator.Snapshot(), "sha256:x"); err == nil {
		t.Error("something was recalled")
	}
	for range 3 {
		d.Record(decisionlog.Record{Action: policy.Refused})
	}
	if got := strings.Count(buf.String(), "cannot write the decision log"); got != 1 {
		t.Errorf("%d messages about the decision log: %s", got, buf.String())
	}
}

// TestSIGHUPRefreshesTheFacts runs alone, because it sends the process signals.
func TestSIGHUPRefreshesTheFacts(t *testing.T) {
	cfg := configuration(t)
	release := filepath.Join(cfg.Facts.Root, "etc", "os-release")
	write := func(id string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(release), 0o755), os.WriteFile(release, []byte("ID="+id+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	hangup := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	args := []string{"--config", writeConfig(t, cfg)}
	code := Command{Program: cli.Program{Name: "some-daemon"}, Run: func(ctx context.Context, d *Daemon) error {
		hangup() // one that comes early ends nothing
		ctx, cancel := context.WithCancel(ctx)
		group, ctx := errgroup.WithContext(ctx)
		d.KeepFresh(ctx, group)
		var mode atomic.Value
		d.OnReload(func(c config.Config) { mode.Store(c.Policy.Mode) }) // at any time
		id := func() string { return d.Facts.Current().Lookup("system.osrelease", "ID").Value }
		if id() != "first" {
			t.Errorf("the facts say %q", id())
		}
		write("second")
		for start := time.Now(); id() != "second" || mode.Load() != policy.Enforce; time.Sleep(10 * time.Millisecond) {
			hangup()
			if time.Since(start) > 30*time.Second {
				t.Errorf("after SIGHUP the facts say %q, the mode is %v", id(), mode.Load())
				break
			}
		}
		cancel()
		return group.Wait()
	}}.Execute(t.Context(), args, io.Discard, io.Discard)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// writeConfig writes the part of a configuration that configuration sets.
func writeConfig(t *testing.T, cfg config.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	text := fmt.Sprintf("version = 1\nstate_dir = %q\n[facts]\nroot = %q\nrefresh = \"1h\"\n", cfg.StateDir, cfg.Facts.Root)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
