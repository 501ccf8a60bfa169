package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
)

func TestReloadAppliesAValidConfigurationAndKeepsTheOldOneOtherwise(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	head := "version = 1\nstate_dir = \"" + filepath.Join(dir, "state") + "\"\n"
	rest := "[facts]\nroot = \"" + dir + "\"\n"
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(head + rest)
	sources := config.Sources{File: file}
	loaded, err := sources.Load()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	level := new(slog.LevelVar)
	d, err := Open(t.Context(), Options{Sources: sources, Config: loaded.Config, Log: cli.NewLogger(&log, config.Text, level), Level: level})
	if err != nil {
		t.Fatal(err)
	}
	var applied []string
	d.OnReload(func(c config.Config) { applied = append(applied, c.Policy.Mode) })
	for _, step := range []struct {
		name, text  string
		mode, noFit string
		level       slog.Level
		log         string
		taken       bool
	}{
		{"another policy", head + rest + "[policy]\nmode = \"audit\"\n", "audit", "refuse", slog.LevelInfo, "configuration reloaded", true},
		{"a mistake", head + rest + "[policy]\nmode = \"enforce\"\nno_fitt = \"forward\"\n", "audit", "refuse", slog.LevelInfo, "row 7", false},
		{"another level", "log_level = \"debug\"\n" + head + rest + "[policy]\nno_fit = \"forward\"\n", "enforce", "forward", slog.LevelDebug, "configuration reloaded", true},
		{"a key for the next start", head + rest + "refresh = \"9m\"\n", "enforce", "refuse", slog.LevelInfo, "keys=facts.refresh", true},
		{"it is still pending", head + rest + "refresh = \"9m\"\n", "enforce", "refuse", slog.LevelInfo, "keys=facts.refresh", true},
	} {
		log.Reset()
		before := len(applied)
		write(step.text)
		d.reload()
		if d.Config().Policy.Mode != step.mode || d.Rules().Policy.NoFit != step.noFit || level.Level() != step.level {
			t.Errorf("%s: mode %s, no_fit %s, level %s", step.name, d.Config().Policy.Mode, d.Rules().Policy.NoFit, level.Level())
		}
		if !strings.Contains(log.String(), step.log) || strings.Count(log.String(), "\n") > 2 {
			t.Errorf("%s: log %s", step.name, log.String())
		}
		if taken := len(applied) > before; taken != step.taken {
			t.Errorf("%s: applied %v", step.name, applied)
		}
		if d.Config().Facts != loaded.Config.Facts {
			t.Errorf("%s: the daemon goes by %+v, but takes for its own %+v", step.name, loaded.Config.Facts, d.Config().Facts)
		}
	}
}
