package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/policy"
)

func TestCommandLoadsTheConfigurationAndReturnsAnExitCode(t *testing.T) {
	t.Parallel()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("version = 1\nlog_level = \"warn\"\nstate_dir = \"" + t.TempDir() + "\"\n[policy]\nmode = \"audit\"\n")
	plain := file("version = 1\nstate_dir = \"" + t.TempDir() + "\"\n")
	dropIns := filepath.Dir(file("log_level = \"warn\"\npolicy.mode = \"audit\"\n"))
	tests := []struct {
		name   string
		args   []string
		run    error
		code   int
		stdout string
		stderr string
	}{
		{"runs", []string{"--config", good}, nil, 0, "", ""},
		{"fails", []string{"--config", good}, errors.New("no\nsocket"), 1, "", "some-daemon: no; socket\n"},
		{"version", []string{"--version"}, nil, 0, "some-daemon version v1.2.3\n", ""},
		{"help", []string{"--help"}, nil, 0, "--config", ""},
		{"over the file", []string{"--config", plain, "--set", "policy.mode=audit", "--set", "log_level=warn"}, nil, 0, "", ""},
		{"a drop-in", []string{"--config", plain, "--config-dir", dropIns}, nil, 0, "", ""},
		{"an argument", []string{"x"}, nil, 1, "", "some-daemon: unknown command"},
		{"an unknown flag", []string{"--x"}, nil, 1, "", "some-daemon: unknown flag: --x\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			ran := false
			code := Command{
				Program: cli.Program{Name: "some-daemon", Short: "Short", Long: "Long"}, Version: "v1.2.3",
				Run: func(_ context.Context, d *Daemon) error {
					ran = true
					if mode := d.Config().Policy.Mode; mode != policy.Audit {
						t.Errorf("mode %q", mode)
					}
					return test.run
				},
			}.Execute(t.Context(), test.args, &stdout, &stderr)
			if code != test.code || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
			if test.stderr == "" && stderr.Len() > 0 || strings.Count(stderr.String(), "\n") > 1 {
				t.Errorf("stderr %q", stderr.String())
			}
			if ran != (test.code == 0 && test.stdout == "" || test.run != nil) {
				t.Errorf("ran: %t", ran)
			}
		})
	}
}

// TestFlagsAreDocumented: the flags of the daemons are in the README.
func TestFlagsAreDocumented(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	Command{Program: cli.Program{Name: "x"}}.cobra(io.Discard).Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(string(readme), "--"+f.Name) {
			t.Errorf("README.md does not name --%s", f.Name)
		}
	})
}
