package daemon

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/policy"
)

// ran is what a daemon ran with.
type ran struct {
	daemon *Daemon
	stderr string
	code   int
}

func runWith(t *testing.T, args []string, run func(context.Context, *Daemon) error) ran {
	t.Helper()
	var got ran
	var stderr bytes.Buffer
	got.code = Command{Program: cli.Program{Name: "some-daemon"}, Run: func(ctx context.Context, d *Daemon) error {
		got.daemon = d
		return run(ctx, d)
	}}.Execute(t.Context(), args, &bytes.Buffer{}, &stderr)
	got.stderr = stderr.String()
	return got
}

func atOnce(context.Context, *Daemon) error { return nil }

// TestDaemonStartsWithoutAValidConfiguration: a typo, a missing file or a key of a later
// version must not take the node's images away.
func TestDaemonStartsWithoutAValidConfiguration(t *testing.T) {
	t.Parallel()
	const good = "version = 1\nlog_level = \"info\"\n[policy]\nmode = \"enforce\"\nno_fit = \"forward\"\n"
	for _, test := range []struct {
		name, text string
		args       []string
		wrong      string
	}{
		{"a typo", "version = 1\nlog_levle = \"info\"\n", nil, "row 2, column 1: unknown key log_levle"},
		{"no TOML", "version = 1\n[policy\nmode = \"enforce\"\n", nil, "row 2"},
		{"a later version", "version = 2\nsomething = 1\n", nil, "version: is 2"},
		{"a bad value", good, []string{"--set", "policy.mode=on"}, "--set policy.mode: key policy.mode: "},
		{"no folder of drop-ins", good, []string{"--config-dir", "/nonexistent.d"}, "list drop-ins: open /nonexistent.d"},
		{"no file", "", nil, "read configuration: open "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "config.toml")
			state := "state_dir=" + t.TempDir()
			write := func(text string) {
				t.Helper()
				err := os.WriteFile(path, []byte(text), 0o600)
				if text == "" {
					err = os.Remove(path)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			args := []string{"--config", path, "--set", state}
			broken := slices.Concat(args, test.args)
			write("x")
			write(test.text)
			first := runWith(t, broken, atOnce)
			if first.code != 0 || first.daemon.Config().Policy.Mode != policy.Audit {
				t.Errorf("without an earlier one: exit code %d, mode %s", first.code, first.daemon.Config().Policy.Mode)
			}
			if !strings.Contains(first.stderr, "cannot load the configuration, forwarding pulls") || !strings.Contains(first.stderr, test.wrong) {
				t.Errorf("log: %s", first.stderr)
			}
			write(good)
			if once := runWith(t, args, atOnce); once.code != 0 || strings.Contains(once.stderr, "ERROR") {
				t.Fatalf("with a valid one: exit code %d, log: %s", once.code, once.stderr)
			}
			write(test.text + " ")
			if test.text == "" {
				write("")
			}
			then := runWith(t, broken, atOnce)
			if answers := then.daemon.Config().Policy; then.code != 0 || answers.Mode != policy.Enforce || answers.NoFit != policy.Forward {
				t.Errorf("with an earlier one: exit code %d, policy %+v", then.code, answers)
			}
			if !strings.Contains(then.stderr, "cannot load the configuration, using the last valid one") || !strings.Contains(then.stderr, test.wrong) {
				t.Errorf("log: %s", then.stderr)
			}
		})
	}
}

// TestDaemonLoadsAMendedConfigurationByItself: no signal is needed, and a mistake that
// stays is logged once.
func TestDaemonLoadsAMendedConfigurationByItself(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.toml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	write("version = 1\nlog_levle = \"info\"\n")
	got := runWith(t, []string{"--config", path, "--set", "state_dir=" + t.TempDir()}, func(ctx context.Context, d *Daemon) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		group, ctx := errgroup.WithContext(ctx)
		d.KeepFresh(ctx, group)
		if err := d.configCheck().Probe(ctx); err == nil {
			t.Error("the check passes")
		}
		time.Sleep(2*retryInterval + retryInterval/2) // two tries that find the same mistake
		write("version = 1\n[policy]\nmode = \"enforce\"\n")
		for start := time.Now(); d.Config().Policy.Mode != policy.Enforce || d.configCheck().Probe(ctx) != nil; time.Sleep(10 * time.Millisecond) {
			if time.Since(start) > 30*time.Second {
				t.Error("the mended file is not loaded")
				break
			}
		}
		cancel()
		return group.Wait()
	})
	if n := strings.Count(got.stderr, "unknown key log_levle"); got.code != 0 || n != 1 {
		t.Errorf("exit code %d, the mistake is logged %d times: %s", got.code, n, got.stderr)
	}
}
