package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// reported is a node with secrets and names in all places from which a report is made, and
// the page about it.
func reported(t *testing.T, args ...string) string {
	t.Helper()
	config := auditedNode(t)
	dir := filepath.Dir(config)
	const url = "https://bob:hunter2@registry.corp.example:5000/v2/?token=hunter2"
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	more := fmt.Sprintf("%s\npolicy.repositories.\"mirror.corp.example/team\".mode = \"audit\"\n", text)
	more += "tracing.endpoint = \"http://otel.corp.example:4317\"\nnri.credentials = \"" + filepath.Join(dir, "auth.json") + "\"\n"
	for name, content := range map[string]string{
		config:                          more,
		filepath.Join(dir, "auth.json"): `{"auths": {"registry.corp.example:5000": {"auth": "aHVudGVyMg==", "password": "hunter2"}}}`,
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	keep(t, dir,
		decisionlog.Record{Time: now.Add(-2 * time.Hour), Program: decisionlog.Proxy, Action: policy.Pulled, Reference: "registry.corp.example:5000/app:1",
			Namespace: "shop", Pod: "web-0", Choice: "linux/amd64/v3", Decided: 3 * time.Millisecond, Took: 2 * time.Second},
		decisionlog.Record{Time: now.Add(-time.Hour), Program: decisionlog.Proxy, Action: policy.Failed, Reference: "docker.io/library/busybox:1",
			Error: "pull " + url + ": 401; </script><script>alert(1)</script>", Took: 70 * time.Millisecond},
		decisionlog.Record{Time: now.Add(-100 * time.Hour), Program: decisionlog.Proxy, Action: policy.Refused, Reference: "registry.example/old:1"},
	)
	file := filepath.Join(dir, "report.html")
	got := tool(t, "", append([]string{"report", file, "--config", config}, args...)...)
	if got.err != nil {
		t.Fatal(got.err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestReportTellsEverythingButSecretsAndNamesOfHosts(t *testing.T) {
	t.Setenv("IMAGEFIT_LOG_LEVEL", "debug")
	t.Setenv("HTTPS_PROXY", "http://bob:hunter2@proxy.corp.example:3128")
	page := reported(t)
	for _, want := range []string{
		"<h2>Health</h2>", "does not answer", "<h2>What would not be admitted now</h2>", "Running containers: 2 (1 refused, 1 admitted).",
		"<h2>Images</h2>", "<h2>Decisions</h2>", "2 decisions (1 failed, 1 pulled)", "host-", "/app:1", "docker.io/library/busybox:1", "shop/web-0",
		"<h2>How long pulls took</h2>", "half of them took no more than 70ms", "<svg", "<h2>How long decisions about pulls took</h2>",
		"<h2>Configuration</h2>", "policy.mode", "env IMAGEFIT_LOG_LEVEL", "<h2>Facts: cpu</h2>", "/proc/cpuinfo", "SSE42",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, leak := range []string{"hunter2", "aHVudGVyMg", "bob", "corp.example", "<script>alert"} {
		if at := strings.Index(page, leak); at >= 0 {
			t.Errorf("the page has %q: %s", leak, page[max(0, at-80):min(len(page), at+80)])
		}
	}
	if strings.Contains(page, "registry.example/old:1") {
		t.Error("the page has a decision from before")
	}
}

func TestNamesOfHostsAreHidden(t *testing.T) {
	t.Parallel()
	h := newHider("Node-7.corp.example", false)
	h.host("mirror.corp.example:5000")
	h.host("docker.io")
	for text, want := range map[string]string{
		"etcd-node-7 on node-7.corp.example":                   "etcd-this-node on this-node",
		"node-77 and anode-7x":                                 "node-77 and anode-7x",
		"mirror.corp.example:5000/app and MIRROR.corp.example": "host-1:5000/app and host-1",
		"get https://u:p@new.corp.example/v2/?t=1 now":         "get https://host-2/v2/ now",
		"docker.io/library/busybox":                            "docker.io/library/busybox",
		"unix:///run/containerd/containerd.sock":               "unix:///run/containerd/containerd.sock",
	} {
		got := h.text(text)
		if strings.Contains(text, "u:p") { // the redactor of credentials has words of its own
			if strings.Contains(got, "corp") || strings.Contains(got, "u:p") {
				t.Errorf("%q: %q", text, got)
			}
		} else if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := newHider("node-7", true).text("node-7 at https://u:p@a.example/"); !strings.Contains(got, "node-7") || strings.Contains(got, "u:p") {
		t.Errorf("kept: %q", got)
	}
	if got := newHider("vm", false).text("vm.max_map_count"); got != "vm.max_map_count" {
		t.Errorf("a short name: %q", got)
	}
}

func TestReportKeepsNamesWhereAsked(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://bob:hunter2@proxy.corp.example:3128")
	page := reported(t, "--names", "--since", "200h")
	for _, want := range []string{"registry.corp.example:5000/app:1", "registry.example/old:1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, leak := range []string{"hunter2", "aHVudGVyMg", "bob:"} {
		if strings.Contains(page, leak) {
			t.Errorf("the page has %q", leak)
		}
	}
}

func TestReportOfANodeThatTellsNothing(t *testing.T) {
	t.Parallel()
	_, config := imagesNode(t)
	page := tool(t, "", "report", "-", "--config", config).stdout
	for _, want := range []string{"<!DOCTYPE html>", "does not answer at", "the runtime does not list containers"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	bad := write(t, "bad.toml", "version = 1\ntracing.endpoint = \"http://bob:hunter2@otel.corp.example:4317\"\nlog_levle = \"hunter3.corp.example\"\n")
	page = tool(t, "", "report", "-", "--config", bad).stdout
	if !strings.Contains(page, "cannot be loaded") || !strings.Contains(page, "log_levle") || strings.Contains(page, "hunter2") {
		t.Errorf("with a mistake in the configuration: %d bytes", len(page))
	}
	wantError(t, tool(t, "", "report", "-", "--since", "soon", "--config", config).err, "--since", "soon")
	wantError(t, tool(t, "", "report", filepath.Join(t.TempDir(), "no", "r.html"), "--config", config).err, "write the report")
	folder := t.TempDir()
	wantError(t, tool(t, "", "report", folder, "--config", config).err, "write the report: create "+folder+": is a directory")
}
