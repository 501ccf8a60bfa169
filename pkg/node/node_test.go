package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLogger(t *testing.T) {
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
		log := Logger(&buf, config.Text, logLevel(config.Config{LogLevel: test.level}))
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
func open(t *testing.T, ctx context.Context, cfg config.Config, w io.Writer) *Node { //nolint:revive // t first, as everywhere
	t.Helper()
	level := new(slog.LevelVar)
	n, err := Open(ctx, Options{Program: "some-daemon", Config: cfg, Log: Logger(w, config.Text, level), Level: level})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpen(t *testing.T) {
	t.Parallel()
	cfg := configuration(t)
	cfg.Policy.ExemptNamespaces = []string{"infra"}
	cfg.Cache.ReferrersTTL, cfg.Cache.StaleFor = config.Duration(7*time.Minute), config.Duration(8*time.Minute)
	cfg.Proxy.SelectTimeout = config.Duration(9 * time.Minute)
	cfg.Select.NVIDIARequire = true
	cfg.Select.PreferAnnotations = []config.Preference{{Key: "k", Value: "v", Weight: 3}}
	var buf bytes.Buffer
	n := open(t, t.Context(), cfg, &buf)
	if strings.Contains(buf.String(), "level=ERROR") {
		t.Errorf("log: %s", buf.String())
	}
	snapshot := n.Evaluator(nil).Snapshot()
	rules := snapshot.Rules
	if rules != n.Rules() || rules.Interpreter == nil || snapshot.Facts == nil {
		t.Errorf("snapshot %+v", snapshot)
	}
	if rules.ReferrersTTL != 7*time.Minute || rules.StaleFor != 8*time.Minute || rules.Timeout != 9*time.Minute || !rules.NVIDIARequire {
		t.Errorf("rules %+v", rules)
	}
	if want := (compat.AnnotationPreference{Key: "k", Value: "v", Weight: 3}); len(rules.Prefer) != 1 || rules.Prefer[0] != want {
		t.Errorf("preferences %+v", rules.Prefer)
	}
	if !policy.EffectiveFor(rules.Policy, "", policy.Pod{Namespace: "infra"}).Exempt || policy.EffectiveFor(rules.Policy, "", policy.Pod{Namespace: "default"}).Exempt {
		t.Errorf("policy %+v", rules.Policy)
	}
	if _, err := os.Stat(filepath.Join(cfg.StateDir, "images")); err != nil {
		t.Error(err)
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	cfg := configuration(t)
	var buf bytes.Buffer
	n := open(t, t.Context(), cfg, &buf)
	refused := decisionlog.Record{Time: time.Now(), Action: policy.Refused, Reference: "app:1", Reason: strings.Repeat("x", 9000)}
	n.Record(refused)
	n.Record(decisionlog.Record{Time: time.Now(), Action: policy.Forwarded, Reference: "nothing-to-choose:1"})
	kept, err := n.Journal.Read(decisionlog.Filter{})
	if err != nil || len(kept) != 1 || kept[0].Reference != "app:1" || kept[0].Program != "some-daemon" {
		t.Errorf("kept %+v, %v", kept, err)
	}
	if log := buf.String(); strings.Count(log, "msg=decision") != 1 || !strings.Contains(log, "action=refused reference=app:1") || len(log) > 4000 {
		t.Errorf("log: %.4000s", log)
	}
}

// TestOpenUnusableState has a file in the state folder's place: the node works,
// and keeps nothing.
func TestOpenUnusableState(t *testing.T) {
	t.Parallel()
	cfg := configuration(t)
	if err := os.WriteFile(cfg.StateDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	n := open(t, t.Context(), cfg, &buf)
	if !strings.Contains(buf.String(), "level=ERROR") || !strings.Contains(buf.String(), cfg.StateDir) {
		t.Errorf("the log does not say so: %s", buf.String())
	}
	d := &decision.Decision{Candidates: make([]decision.Candidate, 1)}
	evaluator := n.Evaluator(nil)
	if err := evaluator.Remember("sha256:x", d, 0); err == nil {
		t.Error("something was kept")
	}
	if _, _, err := evaluator.Recall(evaluator.Snapshot(), "sha256:x", ""); err == nil {
		t.Error("something was recalled")
	}
	for range 3 {
		n.Record(decisionlog.Record{Action: policy.Refused})
	}
	if got := strings.Count(buf.String(), "decisions are not kept"); got != 1 {
		t.Errorf("%d complaints about the journal: %s", got, buf.String())
	}
}

// TestKeepFresh changes a file under the root; it runs alone, for it sends the
// process a signal.
func TestKeepFresh(t *testing.T) {
	cfg := configuration(t)
	release := filepath.Join(cfg.Facts.Root, "etc", "os-release")
	write := func(id string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(release), 0o755), os.WriteFile(release, []byte("ID="+id+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	cfg.Facts.Refresh = config.Duration(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	n := open(t, ctx, cfg, io.Discard)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil { // one that comes early ends nothing
		t.Fatal(err)
	}
	group, ctx := errgroup.WithContext(ctx)
	n.KeepFresh(ctx, group)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the list of what takes up configurations grows while it may be read")
			}
		}()
		n.OnReload(nil)
	}()
	id := func() string { return n.Facts.Current().Lookup("system.osrelease", "ID").Value }
	if id() != "first" {
		t.Fatalf("the facts say %q", id())
	}
	write("second")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); id() != "second"; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("10 s after SIGHUP the facts say %q", id())
		}
	}
	cancel()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}
