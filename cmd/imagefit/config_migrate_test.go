package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
)

func TestConfigMigrateShowsAndWritesTheDifference(t *testing.T) {
	t.Parallel()
	file := configFiles(t, "version = 1\n", "future = 1\nlog_level = \"warn\"\n")
	dropIn := filepath.Join(filepath.Dir(file), "conf.d", "10.toml")
	want := "--- " + dropIn + "\n+++ " + dropIn + "\n@@ -1,2 +1,3 @@\n-future = 1\n+# Not known to this version of imagefit:\n+# future = 1\n log_level = \"warn\"\n"
	if got := tool(t, "", "config", "migrate", "--config", file); got.stdout != want || !errors.Is(got.err, cli.ExitError(1)) {
		t.Errorf("error %v:\n%s%s\nwant\n%s", got.err, got.stdout, got.stderr, want)
	}
	if got := tool(t, "", "config", "migrate", "--write", "--config", file); got.stdout != want || got.err != nil {
		t.Errorf("with --write error %v:\n%s%s", got.err, got.stdout, got.stderr)
	}
	if got := tool(t, "", "config", "migrate", "--config", file); got.stdout != "" || got.err != nil {
		t.Errorf("once more error %v:\n%s%s", got.err, got.stdout, got.stderr)
	}
	toolOK(t, "config", "check", file)
	if _, err := os.Stat(dropIn + ".before"); err != nil {
		t.Error(err)
	}
}

func TestConfigMigrateTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	file := configFiles(t, "version = 1\nfuture = 1\n[policy]\nmode = \"loud\"\n", "")
	got := tool(t, "", "config", "migrate", "--write", "--config", file)
	if !errors.Is(got.err, cli.ExitError(1)) || got.stdout == "" || got.stderr == "" {
		t.Errorf("error %v, %q, %q", got.err, got.stdout, got.stderr)
	}
}
