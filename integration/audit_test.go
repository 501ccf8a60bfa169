package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// A container runs, and then the operator states that the node lacks what its image
// needs: everything tells that it would not be admitted again, and it keeps running as it
// does on containerd alone.
func TestContainersThatNoLongerFitAreToldAndKeepRunning(t *testing.T) {
	for name, test := range map[string]struct{ proxy, plugin bool }{
		"both daemons": {true, true}, "cri-proxy alone": {true, false}, "neither daemon": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, flagsV3)
			f := startFitOn(t, startContainerd(t, stack.Options{}), startRegistry(t), root, stack.Settings{Facts: `refresh = "100ms"`})
			pluginHTTP := filepath.Join(f.containerd.Dir, "plugin-http.sock")
			if test.plugin {
				f.startPlugin(t)
			}
			repo, _, manifests := f.push(t, "app", variants("amd64")...)
			needs(t, repo, manifests[0], `"cpu-cpuid.AVX2": true`)
			other, _, _ := f.push(t, "other", variants("amd64")...)
			ids := map[string]string{}
			for _, ref := range []string{repo.Ref("1"), other.Ref("1")} {
				ids[ref] = runs(t, f, ref)
			}
			if !test.proxy {
				if err := f.Proxy.Stop(drainTime); err != nil {
					t.Fatal(err)
				}
			}
			if out, code := f.ourTool(t, "audit"); code != 0 || !strings.Contains(out, "running containers: 2 (2 admitted)") {
				t.Errorf("before the change: exit code %d\n%s", code, out)
			}
			f.wantForetold(t, repo.Ref("1"))

			folder := filepath.Join(root, "etc/imagefit/facts.d")
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			corrected := "version = 1\nabsent = [\"cpu.cpuid/AVX2\"]\n"
			if err := os.WriteFile(filepath.Join(folder, "10-hypervisor.toml"), []byte(corrected), 0o600); err != nil {
				t.Fatal(err)
			}
			f.wantAudited(t, repo.Ref("1"))
			for socket, started := range map[string]bool{f.HTTP: test.proxy, pluginHTTP: test.plugin} {
				if started {
					awaitMetric(t, socket, `imagefit_audit_containers{verdict="refused"} 1`)
					wantMetrics(t, socket, `imagefit_audit_containers{verdict="admitted"} 1`, `imagefit_audit_images{verdict="refused"} 1`)
				}
			}
			if status, _ := f.ourTool(t, "status"); test.proxy && !strings.Contains(status, "would not be admitted now: 1") {
				t.Errorf("status does not tell:\n%s", status)
			}
			if test.plugin {
				found := f.decisions(t, "--action", "unfit")
				if len(found) != 1 || found[0].Reference != repo.Ref("1") || !strings.Contains(found[0].Reason, "needs cpu.cpuid AVX2 (absent)") {
					t.Errorf("decisions: %+v", found)
				}
			}
			for ref, id := range ids {
				if got := containerState(t, f, id); got != runtimeapi.ContainerState_CONTAINER_RUNNING {
					t.Errorf("the container of %s is %s", ref, got)
				}
			}
		})
	}
}

// wantForetold sees to it that imagefit tells what the change would do before it is made.
func (f *fit) wantForetold(t *testing.T, ref string) {
	t.Helper()
	out, code := f.ourTool(t, "audit", "--facts-change", "cpu.cpuid/AVX2=false", "-o", "json")
	var outlook struct {
		Containers []struct{ Reference, Before, Verdict, Reason string }
		Results    []struct {
			Image, Host, Verdict string
			Before               struct{ Verdict string }
			Failing              []struct{ Want, Have string }
		}
	}
	if err := json.Unmarshal([]byte(out), &outlook); err != nil || code != 3 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if c := outlook.Containers; len(c) != 1 || c[0].Reference != ref || c[0].Before != "admitted" || c[0].Verdict != "refused" {
		t.Errorf("containers %+v", c)
	}
	told := false
	for _, r := range outlook.Results {
		if r.Image == ref {
			told = r.Before.Verdict == "fits" && r.Verdict == "does not fit" && len(r.Failing) == 1 && r.Failing[0].Want == "cpu.cpuid AVX2"
		}
	}
	if !told {
		t.Errorf("results %+v", outlook.Results)
	}
	if page, code := f.ourTool(t, "audit", "--facts-change", "cpu.cpuid/AVX2=false", "-o", "html"); code != 3 || !strings.Contains(page, ref) {
		t.Errorf("the page has %d bytes, exit code %d", len(page), code)
	}
	if report, code := f.ourTool(t, "report", "-"); code != 0 || !strings.Contains(report, "running containers: 2") && !strings.Contains(report, "Running containers: 2") {
		t.Errorf("the report has %d bytes, exit code %d", len(report), code)
	}
}

// runs starts a pod that keeps running, and returns the ID of its container.
func runs(t *testing.T, f *fit, ref string) string {
	t.Helper()
	container, err := f.cri.RunContainer(t.Context(), ref, stack.PodOptions{ImageRef: f.pull(t, ref)})
	if err != nil {
		t.Fatal(err)
	}
	return container
}

func containerState(t *testing.T, f *fit, id string) runtimeapi.ContainerState {
	t.Helper()
	status, err := f.containerd.CRI.Runtime.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	return status.GetStatus().GetState()
}

// wantAudited sees to it that imagefit audit lists the one container and image of a
// reference, with the reason and the exit code 3.
func (f *fit) wantAudited(t *testing.T, ref string) {
	t.Helper()
	out, code := f.ourTool(t, "audit", "-o", "json")
	var report struct {
		Containers, Images []struct{ Reference, Verdict, Reason string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 3 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	for what, list := range map[string][]struct{ Reference, Verdict, Reason string }{"containers": report.Containers, "images": report.Images} {
		if len(list) < 2 || list[0].Verdict != "refused" || list[0].Reference != ref || list[1].Verdict == "refused" ||
			!strings.Contains(list[0].Reason, "needs cpu.cpuid AVX2 (absent)") {
			t.Errorf("%s: %+v", what, list)
		}
	}
}

// awaitMetric waits for a line among the metrics.
func awaitMetric(t *testing.T, socket, line string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		_, text := observe(t, socket, "/metrics")
		if strings.Contains(text, "\n"+line+"\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no metric %s", line)
		}
	}
}
