package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/policy"
)

// TestWhatCanBeReadOfABrokenConfigurationIsUsed: without the node's own sockets even
// forwarding would go nowhere.
func TestWhatCanBeReadOfABrokenConfigurationIsUsed(t *testing.T) {
	t.Parallel()
	const around = "state_dir = \"/var/lib/other\"\n%BAD%\n[runtime]\nendpoint = \"unix:///run/k3s/containerd/containerd.sock\"\n[proxy]\nlisten = \"unix:///run/other.sock\"\n"
	for name, bad := range map[string]string{
		"unknown key": "log_levle = 1", "wrong type": "log_level = 3", "open string": "log_level = \"info", "no TOML": "<<<<<<< HEAD\n=======\n>>>>>>> theirs",
		"bad value": "log_level = \"loud\"", "control character": "log_level = \"\x00\"", "twice": "state_dir = \"/elsewhere\"",
	} {
		path := filepath.Join(t.TempDir(), "config.toml")
		text := "version = 1\n" + strings.Replace(around, "%BAD%", bad, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		usable := Sources{File: path, Env: []string{"IMAGEFIT_POLICY_NO_FIT=forward", "IMAGEFIT_NONSENSE=1"}}.LoadUsable("cri-proxy")
		cfg := usable.Config
		if usable.Err == nil || !usable.Since.IsZero() || usable.Loaded != nil {
			t.Errorf("%s: %+v", name, usable)
		}
		if cfg.Runtime.Endpoint != "unix:///run/k3s/containerd/containerd.sock" || cfg.Proxy.Listen != "unix:///run/other.sock" ||
			cfg.StateDir != "/var/lib/other" || cfg.LogLevel != "info" || cfg.Policy.NoFit != policy.Forward || cfg.Policy.Mode != policy.Audit {
			t.Errorf("%s: %+v", name, cfg)
		}
	}
}

// TestTheLastValidConfigurationIsKeptWhole: a start with it is a start with what was
// loaded, whichever source a value came from.
func TestTheLastValidConfigurationIsKeptWhole(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	path := filepath.Join(t.TempDir(), "config.toml")
	text := "version = 1\nstate_dir = \"" + state + "\"\n[policy.repositories.\"registry.example/team\"]\nmode = \"audit\"\n" +
		"[select]\nprefer_annotations = [{ key = \"k\", value = \"v\", weight = 3 }]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := Sources{File: path, Env: []string{"IMAGEFIT_LOG_LEVEL=warn"}, Set: []string{"cache.max_size_mib=7"}}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.Keep("cri-proxy"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"x = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	usable := Sources{File: path}.LoadUsable("nri-plugin", "cri-proxy")
	if usable.Since.IsZero() || (&Loaded{Config: usable.Config}).TOML() != (&Loaded{Config: loaded.Config}).TOML() {
		t.Errorf("kept since %v\n%+v\nwant\n%+v", usable.Since, usable.Config, loaded.Config)
	}
	kept := filepath.Join(state, "config", "cri-proxy.toml")
	for _, damaged := range []string{"", "version = 1\nx = 1", string(make([]byte, maxKept+1))} {
		if err := os.WriteFile(kept, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if usable := (Sources{File: path}).LoadUsable("cri-proxy"); !usable.Since.IsZero() || usable.Config.Policy.Mode != policy.Audit {
			t.Errorf("a damaged file is used: %.100s", damaged)
		}
	}
}

// TestProxyThatListensOnTheRuntimesSocketIsAMistake, whatever the path is called.
func TestProxyThatListensOnTheRuntimesSocketIsAMistake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte("version = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for listen, mistake := range map[string]bool{dir + "/a.sock": true, dir + "/link/a.sock": true, dir + "/b.sock": false, dir + "/soci.sock": true} {
		_, err := Sources{File: file, Set: []string{
			"runtime.endpoint=unix://" + dir + "/a.sock", "runtime.image_endpoint=" + dir + "/soci.sock", "proxy.listen=" + listen,
		}}.Load()
		if found := err != nil && Problems(err)[0].Key == "proxy.listen"; found != mistake {
			t.Errorf("%s: %v", listen, err)
		}
	}
}
