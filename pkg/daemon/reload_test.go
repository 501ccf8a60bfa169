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
	d, log, level := openWith(t, file)
	started := d.Config().Facts
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
		if d.Config().Facts != started {
			t.Errorf("%s: the daemon goes by %+v, but takes for its own %+v", step.name, started, d.Config().Facts)
		}
	}
}

// TestRuleFilesAreLoadedWithoutAReload: a file that is dropped into images.d or specs.d
// counts without a signal, and does not bring a changed configuration with it.
func TestRuleFilesAreLoadedWithoutAReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, images := filepath.Join(dir, "config.toml"), filepath.Join(dir, "images.d")
	if err := os.Mkdir(images, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := "version = 1\nstate_dir = \"" + filepath.Join(dir, "state") + "\"\n[select]\nimages_dir = \"" + images + "\"\n[facts]\nroot = \"" + dir + "\"\n"
	write(file, text)
	d, log, _ := openWith(t, file)
	write(file, text+"[policy]\nmode = \"audit\"\n")
	const described = "version = 1\n[[image]]\nrepositories = [\"a.b/c\"]\nrequires = [\"x86_64 :: level :: v3\"]\n"
	for _, step := range []struct {
		name, text string
		count      int
		log        string
	}{
		{"nothing changed", "", 0, ""},
		{"a file", described, 1, "rule files reloaded"},
		{"again", described, 1, ""},
		{"a mistake", "version = 1\n", 0, "skipping a description of images"},
		{"two images", described + described[len("version = 1\n"):], 2, "descriptions=2"},
	} {
		log.Reset()
		if now := filepath.Join(images, "x.toml"); step.text != "" && step.name != "again" {
			write(now, step.text)
		}
		d.reloadRules()
		if got := d.Rules().Descriptions.Len(); got != step.count || !strings.Contains(log.String(), step.log) || step.log == "" && log.Len() > 0 {
			t.Errorf("%s: %d descriptions, log %s", step.name, got, log.String())
		}
	}
	if d.Config().Policy.Mode != "enforce" {
		t.Errorf("mode %s", d.Config().Policy.Mode)
	}
}

// TestWhatTheRuntimeGivesIsADropIn that stays through reloads; a mistake in it is named and changes nothing.
func TestWhatTheRuntimeGivesIsADropIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	text := "version = 1\nstate_dir = \"" + filepath.Join(dir, "state") + "\"\n[facts]\nroot = \"" + dir + "\"\n[policy]\nmode = \"audit\"\nno_fit = \"forward\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, log, _ := openWith(t, file)
	for _, step := range []struct{ given, mode, log string }{
		{"policy.mode = \"warn\"", "warn", "configuration reloaded"},
		{"policy.mode = \"off\"", "warn", `NRI plugin configuration: row 1, key policy.mode: \"off\" is not one of`},
		{"# " + strings.Repeat("x", 1<<20), "warn", "NRI plugin configuration: is larger than 64 KiB"},
		{"[policy]\nmode = \"enforce\"", "enforce", "configuration reloaded"},
	} {
		log.Reset()
		d.Given(step.given)
		if d.Config().Policy.Mode != step.mode || d.Rules().Policy.Mode != step.mode || d.Config().Policy.NoFit != "forward" || !strings.Contains(log.String(), step.log) {
			t.Errorf("%.40s: mode %s, log %s", step.given, d.Config().Policy.Mode, log.String())
		}
	}
	d.reload()
	if d.Config().Policy.Mode != "enforce" {
		t.Errorf("after a reload: mode %s", d.Config().Policy.Mode)
	}
}

// openWith opens a daemon with a configuration file, and returns its log too.
func openWith(t *testing.T, file string) (*Daemon, *bytes.Buffer, *slog.LevelVar) {
	t.Helper()
	sources := config.Sources{File: file}
	loaded, err := sources.Load()
	if err != nil {
		t.Fatal(err)
	}
	log, level := new(bytes.Buffer), new(slog.LevelVar)
	d, err := Open(t.Context(), Options{Sources: sources, Config: loaded.Config, Log: cli.NewLogger(log, config.Text, level), Level: level})
	if err != nil {
		t.Fatal(err)
	}
	return d, log, level
}
