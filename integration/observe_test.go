package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// observe asks a daemon over its HTTP socket.
func observe(t *testing.T, socket, path string) (code int, body string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://daemon"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// wantReady waits until /readyz has this code, and returns what it says.
func wantReady(t *testing.T, socket string, want int) string {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		code, body := observe(t, socket, "/readyz?verbose")
		if code == want {
			return body
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz still answers %d %s", code, body)
		}
	}
}

// wantMetrics sees to it that each line is among the metrics.
func wantMetrics(t *testing.T, socket string, lines ...string) {
	t.Helper()
	_, text := observe(t, socket, "/metrics")
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			var have []string
			for other := range strings.SplitSeq(text, "\n") {
				if strings.HasPrefix(other, name) {
					have = append(have, other)
				}
			}
			t.Errorf("no metric %s, but\n%s", line, strings.Join(have, "\n"))
		}
	}
}

// ourTool runs bin/imagefit on the node's own configuration.
func (f *fit) ourTool(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := f.toolCommand(t, t.Context(), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if code = cmd.ProcessState.ExitCode(); code != 0 && code != 3 {
		t.Errorf("imagefit %s: %s", strings.Join(args, " "), errs.String())
	}
	return out.String(), code
}

func (f *fit) toolCommand(t *testing.T, ctx context.Context, args ...string) *exec.Cmd { //nolint:revive // t first, as everywhere
	t.Helper()
	bin, err := stack.Binaries(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "imagefit"), append(args, "--config", f.Config)...)
	cmd.Env = stack.Environ()
	return cmd
}

// kept is a decision as the tool prints it.
type kept struct {
	Program, Action, Reference, Pod, Reason string
	Cases                                   []struct{ Key, Answer string }
}

// decisions are those that the filters pick.
func (f *fit) decisions(t *testing.T, filters ...string) []kept {
	t.Helper()
	out, code := f.ourTool(t, append([]string{"decisions", "-o", "json"}, filters...)...)
	var found []kept
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	return found
}

// What is decided, and what goes wrong, is seen from outside in every way that
// there is.
func TestDecisionsAndFailuresAreObservable(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	f.startPlugin(t)
	pluginHTTP := filepath.Join(f.containerd.Dir, "plugin-http.sock")
	follow := f.follow(t)

	app, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.wantRuns(t, app.Ref("1"), f.pull(t, app.Ref("1")), "amd64/v3")
	unfit, _, manifests := f.push(t, "unfit", variants("amd64")...)
	needs(t, unfit, manifests[0], `"cpu-cpuid.AMXINT8": true`)
	if _, err := f.cri.Pull(t.Context(), unfit.Ref("1"), stack.PullOptions{}); err == nil {
		t.Error("an image that does not fit was pulled")
	}
	quiet, _, _ := f.push(t, "quietapp", variants("amd64", "amd64/v3")...)
	remove := f.registry.Inject(stack.Fault{Path: "/quietapp/referrers/", Status: 502})
	f.pull(t, quiet.Ref("1"))
	remove()

	wantReady(t, f.HTTP, 200)
	wantReady(t, pluginHTTP, 200)
	t.Run("metrics", func(t *testing.T) { f.wantObserved(t, pluginHTTP) })
	t.Run("status", func(t *testing.T) {
		_, text := observe(t, f.HTTP, "/status")
		if !strings.Contains(text, `"ready": true`) || strings.Contains(text, "quietapp") {
			t.Errorf("status %s", text)
		}
		out, code := f.ourTool(t, "status")
		for _, want := range []string{"cri-proxy", "nri-plugin", "enforce", "1 forwarded, 1 pulled, 1 refused since start", "1 admitted since", "fits this node: linux/amd64 needs"} {
			if !strings.Contains(out, want) {
				t.Errorf("status does not say %q:\n%s", want, out)
			}
		}
		if code != 0 {
			t.Errorf("status ends with %d:\n%s", code, out)
		}
	})
	t.Run("decisions", func(t *testing.T) {
		all := f.decisions(t)
		if len(all) != 4 {
			t.Errorf("%d decisions are kept: %+v", len(all), all)
		}
		refused := f.decisions(t, "--action", "refused", "--since", "10m")
		if len(refused) != 1 || refused[0].Program != "cri-proxy" || refused[0].Reference != unfit.Ref("1") || !strings.Contains(refused[0].Reason, "AMXINT8 (absent)") {
			t.Errorf("refused: %+v", refused)
		}
		failed := f.decisions(t, "--reference", "quietapp")
		if len(failed) != 1 || failed[0].Action != "forwarded" || len(failed[0].Cases) != 1 || failed[0].Cases[0].Key != "registry_error" {
			t.Errorf("without a registry: %+v", failed)
		}
		if admitted := f.decisions(t, "--program", "nri-plugin"); len(admitted) != 1 || admitted[0].Action != "admitted" || admitted[0].Pod == "" {
			t.Errorf("admitted: %+v", admitted)
		}
	})
	t.Run("follow", func(t *testing.T) {
		follow(t, "pulled", "admitted", "refused", "forwarded")
	})
	t.Run("runtime gone", func(t *testing.T) { f.testObservedLoss(t, pluginHTTP) })
}

func (f *fit) wantObserved(t *testing.T, pluginHTTP string) {
	t.Helper()
	wantMetrics(t, f.HTTP,
		`imagefit_ready 1`, `imagefit_check_passing{check="runtime"} 1`,
		`imagefit_decisions_total{action="pulled",program="cri-proxy",would="nothing"} 1`,
		`imagefit_decisions_total{action="refused",program="cri-proxy",would="nothing"} 1`,
		`imagefit_decisions_total{action="forwarded",program="cri-proxy",would="nothing"} 1`,
		`imagefit_policy_cases_total{answer="forward",key="registry_error"} 1`,
		`imagefit_policy_cases_total{answer="refuse",key="no_fit"} 1`,
		`imagefit_policy_cases_total{answer="select",key="no_artifact"} 1`,
		`imagefit_pull_duration_seconds_count{action="refused"} 1`,
		`imagefit_registry_requests_total{op="resolve",result="ok"} 3`,
		`imagefit_cri_calls_total{code="Unknown",kind="intercepted"} 1`,
		`imagefit_cache_limit_bytes 2.68435456e+08`,
		`imagefit_config_last_reload_successful 1`, `imagefit_journal_errors_total 0`,
	)
	_, text := observe(t, f.HTTP, "/metrics")
	if strings.Contains(text, `op="list_referrers",result="server_error"} 0`) {
		t.Error("the registry's failure is not counted")
	}
	for _, secret := range []string{f.registry.Host, "sha256:", "quietapp"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the metrics", secret)
		}
	}
	wantMetrics(t, pluginHTTP,
		`imagefit_ready 1`, `imagefit_check_passing{check="nri"} 1`,
		`imagefit_decisions_total{action="admitted",program="nri-plugin",would="nothing"} 1`,
		`imagefit_admission_duration_seconds_count 1`,
	)
}

// testObservedLoss takes the runtime away and brings it back.
func (f *fit) testObservedLoss(t *testing.T, pluginHTTP string) {
	if err := f.containerd.Kill(); err != nil {
		t.Fatal(err)
	}
	for socket, check := range map[string]string{f.HTTP: "[-] runtime: ", pluginHTTP: "[-] nri: "} {
		if body := wantReady(t, socket, 503); !strings.Contains(body, check) {
			t.Errorf("readyz does not name %q: %s", check, body)
		}
		if code, _ := observe(t, socket, "/livez"); code != 200 {
			t.Errorf("livez answers %d without a runtime", code)
		}
	}
	wantMetrics(t, f.HTTP, `imagefit_ready 0`, `imagefit_check_passing{check="runtime"} 0`)
	out, code := f.ourTool(t, "status")
	if code != 3 || strings.Count(out, "not ready") != 2 || !strings.Contains(out, "runtime: ") || !strings.Contains(out, "nri: ") {
		t.Errorf("status ends with %d:\n%s", code, out)
	}
	if err := f.containerd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantReady(t, f.HTTP, 200)
	wantReady(t, pluginHTTP, 200)
	if err := f.Plugin.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	out, code = f.ourTool(t, "status")
	if code != 3 || !strings.Contains(out, "does not answer at unix://"+pluginHTTP) || !strings.Contains(out, " ready\n") {
		t.Errorf("without the plugin status ends with %d:\n%s", code, out)
	}
}

// follow starts imagefit decisions -f and returns what waits for actions in it.
func (f *fit) follow(t *testing.T) func(t *testing.T, actions ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := f.toolCommand(t, ctx, "decisions", "-f", "-o", "json", "--limit", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan kept, 64)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			var k kept
			if err := json.Unmarshal(scanner.Bytes(), &k); err != nil {
				k.Action = fmt.Sprintf("%v: %s", err, scanner.Text())
			}
			lines <- k
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range lines { // until the program has ended
		}
		_ = cmd.Wait() // it was killed
	})
	return func(t *testing.T, actions ...string) {
		t.Helper()
		for _, want := range actions {
			select {
			case k := <-lines:
				if k.Action != want {
					t.Errorf("followed %+v, want it %s", k, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("nothing %s was followed", want)
			}
		}
	}
}
