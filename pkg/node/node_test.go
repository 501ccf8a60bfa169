package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLogger(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		level string
		want  string // the messages that come through
		fails bool
	}{
		{"debug", "debug info warn error", false},
		{"info", "info warn error", false},
		{"warn", "warn error", false},
		{"error", "error", false},
		{"loud", "", true},
		{"", "", true},
	} {
		var buf bytes.Buffer
		log, err := Logger(&buf, test.level)
		if (err != nil) != test.fails {
			t.Errorf("level %q: error %v", test.level, err)
		}
		if err != nil {
			continue
		}
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

func TestOpen(t *testing.T) {
	t.Parallel()
	cfg := configuration(t)
	cfg.Policy.MalformedArtifact, cfg.Policy.UnknownAttribute = config.Unfit, config.Ignore
	cfg.Policy.ExemptNamespaces, cfg.Policy.ExemptStaticPods = []string{"infra"}, false
	cfg.Cache.ReferrersTTL = config.Duration(7 * time.Minute)
	var buf bytes.Buffer
	n, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&buf, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(buf.String(), "level=ERROR") {
		t.Errorf("log: %s", buf.String())
	}
	want := decision.Policy{MalformedArtifact: decision.AnswerUnfit, UnknownAttribute: decision.AnswerIgnore}
	if n.Judge.Policy != want || n.Judge.Facts() == nil {
		t.Errorf("policy %+v, want %+v", n.Judge.Policy, want)
	}
	if e := n.Exemptions(); !e.Match("infra", nil) || e.Match("default", map[string]string{"kubernetes.io/config.source": "file"}) {
		t.Errorf("exemptions %+v", e)
	}
	reg := registry.New(registry.Options{})
	defer reg.Close()
	if road := n.Road(reg); road.ReferrersTTL != 7*time.Minute || road.Registry != reg || road.Cache != n.Judge.Cache {
		t.Errorf("road %+v", road)
	}
	if _, err := os.Stat(filepath.Join(cfg.StateDir, "images")); err != nil {
		t.Error(err)
	}
}

// TestPolicyWords holds the words of the configuration against those of
// decisions: one is cast to the other.
func TestPolicyWords(t *testing.T) {
	t.Parallel()
	for word, answer := range map[string]decision.Answer{
		config.Unknown: decision.AnswerUnknown, config.Ignore: decision.AnswerIgnore, config.Unfit: decision.AnswerUnfit,
	} {
		if decision.Answer(word) != answer {
			t.Errorf("%q is not %q", word, answer)
		}
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
	n, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&buf, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(buf.String(), "level=ERROR") || !strings.Contains(buf.String(), cfg.StateDir) {
		t.Errorf("the log does not say so: %s", buf.String())
	}
	d := &decision.Decision{Candidates: make([]decision.Candidate, 1)}
	if err := n.Judge.Remember("sha256:x", d, 0); err == nil {
		t.Error("something was kept")
	}
	if _, _, err := n.Judge.Recall("sha256:x"); err == nil {
		t.Error("something was recalled")
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
	n, err := Open(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	group, ctx := errgroup.WithContext(ctx)
	n.KeepFresh(ctx, group)
	id := func() string { return n.Judge.Facts().Lookup("system.osrelease", "ID").Value }
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
