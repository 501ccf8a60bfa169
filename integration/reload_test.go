package integration

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// SIGHUP takes up a new configuration as a whole, and one that is wrong not at all.
func TestReloadAppliesAConfigurationAsAWholeOrNotAtAll(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Policy: `mode = "audit"`})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")

	text, err := os.ReadFile(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(from, to, said string) {
		t.Helper()
		changed := strings.Replace(string(text), from, to, 1)
		if changed == string(text) {
			t.Fatalf("the configuration does not have %q", from)
		}
		if err := os.WriteFile(f.Config, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		before := strings.Count(f.proxyLog(t), said)
		if err := syscall.Kill(f.Proxy.Pid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); strings.Count(f.proxyLog(t), said) == before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the log does not say %q", said)
			}
		}
	}
	reload(`mode = "audit"`, `mode = "enforce"`, "configuration reloaded")
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
	reload(`mode = "audit"`, `mod = "audit"`, "configuration reload failed, keeping the previous configuration")
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
}

// TestMistakeInTheConfigurationTakesNoImagesAway: a proxy that starts with a typo works by
// the last valid configuration, and by the mended file without a signal.
func TestMistakeInTheConfigurationTakesNoImagesAway(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	text, err := os.ReadFile(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(f.Config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Proxy.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	write(string(text) + "\n[selekt]\nx = 1\n")
	if err := f.StartProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
	if log := f.proxyLog(t); !strings.Contains(log, "cannot load the configuration, using the last valid one") {
		t.Errorf("the mistake is not logged:\n%s", log)
	}
	write(string(text))
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(f.proxyLog(t), "configuration reloaded"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the mended file is not loaded")
		}
	}
}
