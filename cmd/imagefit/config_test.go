package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
)

// configFiles writes a configuration and its one drop-in.
func configFiles(t *testing.T, file, dropIn string) string {
	t.Helper()
	path := write(t, "config.toml", file)
	dir := filepath.Join(filepath.Dir(path), "conf.d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "10.toml"), []byte(dropIn), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Default prints the example, which is valid.
func TestConfigDefaultPrintsAFileThatLoads(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../config.toml.example")
	if err != nil {
		t.Fatal(err)
	}
	got := toolOK(t, "config", "default")
	if got != string(want) {
		t.Error("default and config.toml.example differ")
	}
	file := configFiles(t, got, "")
	if said := toolOK(t, "config", "check", file); said != file+" and 1 drop-in are valid\n" {
		t.Errorf("check says %q", said)
	}
}

func TestConfigCheckPrintsEveryMistake(t *testing.T) {
	t.Parallel()
	good := configFiles(t, "version = 1", "log_level = \"warn\"")
	bad := configFiles(t, "version = 1\nstate_dri = \"/x\"\n", "\nlog_level = \"loud\"\n")
	dropIn := filepath.Join(filepath.Dir(bad), "conf.d", "10.toml")
	none := t.TempDir()
	tests := []struct {
		name   string
		args   []string
		stdout string
		stderr string
		valid  bool
	}{
		{"by --config", []string{"--config", good}, good + " and 1 drop-in are valid\n", "", true},
		{"by argument", []string{good, "--config", bad}, good + " and 1 drop-in are valid\n", "", true},
		{"other drop-ins", []string{bad, "--config", good, "--config-dir", none}, "", "imagefit: " + bad + ": row 2, column 1: unknown key state_dri (is state_dir meant?)\n", false},
		{"no drop-ins", []string{good, "--config-dir", none}, good + " and 0 drop-ins are valid\n", "", true},
		{
			"all problems", []string{bad, "--set", "policy.mode=on"}, "",
			"imagefit: " + bad + ": row 2, column 1: unknown key state_dri (is state_dir meant?)\n" +
				"imagefit: " + dropIn + ": row 2, key log_level: \"loud\" is not one of debug, info, warn, error\n" +
				"imagefit: --set policy.mode: key policy.mode: \"on\" is not one of enforce, warn, audit\n", false,
		},
		{"no such file", []string{none + "/x.toml"}, "", "imagefit: read configuration: open " + none + "/x.toml: no such file or directory\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tool(t, "", append([]string{"config", "check"}, tt.args...)...)
			if got.stdout != tt.stdout || got.stderr != tt.stderr {
				t.Errorf("got  %q, %q\nwant %q, %q", got.stdout, got.stderr, tt.stdout, tt.stderr)
			}
			if code, _ := errors.AsType[cli.ExitError](got.err); (got.err == nil) != tt.valid || !tt.valid && code != 1 {
				t.Errorf("error %v", got.err)
			}
		})
	}
}

func TestConfigCheckPrintsProblemsAsJSON(t *testing.T) {
	t.Parallel()
	bad := configFiles(t, "version = 1\nstate_dri = \"/x\"\n", "log_level = \"loud\"")
	got := tool(t, "", "config", "check", bad, "-o", "json")
	var report configReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.stderr != "" {
		t.Fatalf("%v: %s%s", err, got.stdout, got.stderr)
	}
	if report.Valid || len(report.Problems) != 2 {
		t.Fatalf("report %+v", report)
	}
	p := report.Problems[0]
	if p.Source != bad || p.Row != 2 || p.Column != 1 || p.Key != "state_dri" || !strings.HasPrefix(p.Message, "unknown key") {
		t.Errorf("problem %+v", p)
	}
	good := toolOK(t, "config", "check", "-o", "json", configFiles(t, "version = 1", ""))
	if !strings.Contains(good, `"valid": true`) {
		t.Error(good)
	}
}

func TestConfigDumpPrintsValuesWithTheirOrigins(t *testing.T) {
	t.Setenv("IMAGEFIT_LOG_FORMAT", "json")
	file := configFiles(t, "version = 1\nlog_level = \"debug\"", "cache.stale_for = \"1h\"")
	text := toolOK(t, "config", "dump", "--config", file, "--set", "policy.mode=audit", "--set", "policy.exempt_namespaces=[\"a\",\"b\"]")
	for _, want := range []string{
		"log_level = \"debug\" # " + file + ":2\n", "log_format = \"json\" # env IMAGEFIT_LOG_FORMAT\n", "conf.d/10.toml:1\n",
		"mode = \"audit\" # --set policy.mode\n", "exempt_namespaces = [\"a\", \"b\"] # --set policy.exempt_namespaces\n", "# default\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	var keys map[string]struct {
		Value  any
		Origin string
	}
	if err := json.Unmarshal([]byte(toolOK(t, "config", "dump", "--config", file, "-o", "json")), &keys); err != nil {
		t.Fatal(err)
	}
	if got := keys["cache.stale_for"]; got.Value != "1h" || !strings.HasSuffix(got.Origin, "conf.d/10.toml:1") {
		t.Errorf("cache.stale_for is %+v", got)
	}
	if got := keys["cache.max_size_mib"]; got.Value != 256.0 || got.Origin != "default" {
		t.Errorf("cache.max_size_mib is %+v", got)
	}
}

func TestConfigSchemaPrintsAJSONSchema(t *testing.T) {
	t.Parallel()
	var schema map[string]any
	if err := json.Unmarshal([]byte(toolOK(t, "config", "schema")), &schema); err != nil || schema["$schema"] == nil {
		t.Errorf("%v: %v", err, schema)
	}
}

// A shell offers the keys, and the words of keys that take
// few.
func TestCompletionOffersTheKeysOfSet(t *testing.T) {
	t.Parallel()
	got := toolOK(t, "__complete", "config", "dump", "--set", "policy.m")
	for _, want := range []string{"policy.mode=audit\n", "policy.mode=enforce\n", "cache.max_size_mib=\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not offered in\n%s", want, got)
		}
	}
}

// TestConfigCheckLiveSaysWhatIsNotThere, beside the mistakes of the configuration.
func TestConfigCheckLiveSaysWhatIsNotThere(t *testing.T) {
	t.Parallel()
	none := t.TempDir()
	file := write(t, "config.toml", "version = 1\nstate_dir = \""+none+"\"\n[runtime]\nendpoint = \"unix://"+none+"/none.sock\"\n[proxy]\nlisten = \"unix://"+none+"/proxy.sock\"\n")
	got := tool(t, "", "config", "check", "--live", file)
	if code, _ := errors.AsType[cli.ExitError](got.err); code != exitProblem {
		t.Errorf("error %v", got.err)
	}
	for _, want := range []string{
		" are valid\n", "problem   runtime", "there is no socket " + none + "/none.sock (runtime.endpoint)\n",
		"start it: systemctl enable --now cri-proxy.socket cri-proxy.service\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	if err := os.WriteFile(file, []byte("version = 1\nlog_level = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = tool(t, "", "config", "check", "--live", "-o", "json", file)
	var report configReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || report.Valid || len(report.Problems) != 1 || len(report.Live) == 0 {
		t.Errorf("%v: %s", err, got.stdout)
	}
	if code, _ := errors.AsType[cli.ExitError](got.err); code != 1 {
		t.Errorf("error %v", got.err)
	}
}
