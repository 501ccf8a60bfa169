package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// examined runs doctor on a node whose daemons answer, and returns its lines as text.
func examined(t *testing.T, dir, config string, args ...string) (doctorReport, int) {
	t.Helper()
	got := tool(t, "", append([]string{"doctor", "-o", "json", "--config", config}, args...)...)
	var report doctorReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatalf("%v: %s %s", err, got.stdout, got.stderr)
	}
	for _, l := range report.Lines {
		if l.State == lineOK != (l.Do == "") {
			t.Errorf("%s of %s says what to do: %q", l.State, l.Check, l.Do)
		}
	}
	code, _ := errors.AsType[cli.ExitError](got.err)
	return report, int(code)
}

// line are the lines of a check with this state. Others on this machine may add some.
func (r doctorReport) line(state, check string) string {
	var found []string
	for _, l := range r.Lines {
		if l.State == state && l.Check == check {
			found = append(found, l.Text+" -> "+l.Do)
		}
	}
	return strings.Join(found, "\n")
}

func TestDoctorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir, config := nodeDir(t, `proxy.listen = "unix:///nonexistent/cri-proxy.sock"`)
	serveStatus(t, filepath.Join(dir, "proxy"), "cri-proxy", nil)
	serveStatus(t, filepath.Join(dir, "plugin"), "nri-plugin", errors.New("the runtime at /x is not answering"))
	keep(t, dir,
		decisionlog.Record{Time: time.Now().Add(-2 * time.Hour), Action: policy.Failed},
		decisionlog.Record{Time: time.Now(), Action: policy.Pulled},
		decisionlog.Record{Time: time.Now(), Action: policy.Refused})
	report, code := examined(t, dir, config)
	if code != exitProblem || report.OK {
		t.Errorf("exit code %d, ok %v", code, report.OK)
	}
	for _, want := range []struct{ state, check, text string }{
		{lineOK, "configuration", "are valid"},
		{lineFail, "cri-proxy", "there is no socket"},
		{lineFail, "nri-plugin", "runtime: the runtime at /x is not answering -> see its log: journalctl -u nri-plugin"},
		{lineWarn, "cri-proxy", "state: disk full -> see its log"},
		{lineFail, "nri-plugin", ""},
		{lineOK, "facts", "sets known"},
		{lineWarn, "decisions", "1 refused in the last hour -> imagefit decisions --since 1h --action refused"},
	} {
		if got := report.line(want.state, want.check); !strings.Contains(got, want.text) || got == "" {
			t.Errorf("%s %s is %q, want %q", want.state, want.check, got, want.text)
		}
	}
	if got := report.line(lineWarn, "decisions"); strings.Contains(got, "failed") {
		t.Errorf("of two hours ago: %s", got)
	}
	text := tool(t, "", "doctor", "--config", config).stdout
	if !strings.Contains(text, "fail   nri-plugin") || !strings.Contains(text, "-> see its log: journalctl -u nri-plugin") {
		t.Errorf("as text:\n%s", text)
	}
}

// Mistakes of the configuration are lines like all others, and hide none.
func TestDoctorContinuesWithoutAConfiguration(t *testing.T) {
	t.Parallel()
	dir, config := nodeDir(t)
	if err := os.WriteFile(config, []byte("version = 1\nlog_levle = 1\nstate_dir = \""+dir+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, code := examined(t, dir, config)
	if got := report.line(lineFail, "configuration"); code != exitProblem || !strings.Contains(got, "unknown key log_levle") || !strings.Contains(got, "reload") {
		t.Errorf("exit code %d: %s", code, got)
	}
	if report.line(lineOK, "facts") == "" || report.line(lineOK, "decisions") == "" {
		t.Errorf("the rest is left out: %+v", report.Lines)
	}
}
