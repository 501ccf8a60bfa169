package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/browser"
	"github.com/imagefit/imagefit/integration/dashboard"
	"github.com/imagefit/imagefit/integration/stack"
)

// TestEachPanelOfTheDashboardShowsData: a real Prometheus scrapes both daemons while pods
// come and go, and each query of the dashboard returns numbers. With -update the picture in
// docs is taken again, of three minutes.
func TestEachPanelOfTheDashboardShowsData(t *testing.T) {
	if err := stack.CheckRules(t.Context(), "../deploy/prometheus/imagefit.rules.yaml"); err != nil {
		t.Error(err)
	}
	root := host(t, flagsV3)
	f := startFitOn(t, startContainerd(t, stack.Options{}), startRegistry(t), root, stack.Settings{
		Facts: `refresh = "1s"`, Policy: `mode_annotation_namespaces = ["trial"]`,
	})
	f.startPlugin(t)
	prometheus, err := stack.StartPrometheus(t.Context(), map[string]string{
		"node-1:9460": f.HTTP, "node-1:9461": filepath.Join(f.containerd.Dir, "plugin-http.sock"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := prometheus.Stop(); err != nil {
			t.Error(err)
		}
	})
	board, err := dashboard.Read("../deploy/grafana/imagefit.json")
	if err != nil {
		t.Fatal(err)
	}
	takes := update()
	from, life := time.Now(), f.life(t, root)
	for round := 0; ; round++ {
		life(round)
		to := time.Now()
		if err := board.Query(t.Context(), prometheus, from, to); err != nil {
			t.Fatal(err)
		}
		if len(board.Empty()) == 0 && (!takes || to.Sub(from) > 3*time.Minute) {
			if takes {
				takePicture(t, board, from, to)
			}
			return
		}
		if to.Sub(from) > 5*time.Minute {
			t.Fatalf("panels without data: %s", strings.Join(board.Empty(), ", "))
		}
	}
}

// life is what happens on a node in one round: images that fit and that do not, a registry
// that fails, pods in audit mode, a fact that changes.
func (f *fit) life(t *testing.T, root string) func(round int) {
	t.Helper()
	app, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	needs(t, app, manifests[1], `"cpu-cpuid.AVX2": true`)
	unfit, _, manifests := f.push(t, "unfit", variants("amd64")...)
	needs(t, unfit, manifests[0], lacksAMX)
	failing, _, _ := f.push(t, "failing", variants("amd64", "amd64/v3")...)
	f.registry.Inject(stack.Fault{Path: "/failing/referrers/", Status: 502})
	folder := filepath.Join(root, "etc/imagefit/facts.d")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return func(round int) {
		f.wantRuns(t, app.Ref("1"), f.pull(t, app.Ref("1")), "amd64/v3")
		if err := f.cri.CleanupPods(t.Context()); err != nil {
			t.Fatal(err)
		}
		if round%2 == 0 {
			if _, err := f.cri.Pull(t.Context(), unfit.Ref("1"), stack.PullOptions{}); err == nil {
				t.Error("an image that does not fit was pulled")
			}
		}
		if round%3 == 0 {
			f.pull(t, failing.Ref("1"))
		}
		if round%4 == 0 {
			trial := stack.PullOptions{Namespace: "trial", Annotations: map[string]string{"imagefit.io/mode": "audit"}}
			if _, err := f.cri.Pull(t.Context(), unfit.Ref("1"), trial); err != nil {
				t.Error(err)
			}
		}
		if round%8 == 7 {
			facts := fmt.Sprintf("version = 1\n[flags]\n\"site.licences\" = [\"matlab-%d\"]\n", round)
			if err := os.WriteFile(filepath.Join(folder, "site.toml"), []byte(facts), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func takePicture(t *testing.T, board *dashboard.Dashboard, from, to time.Time) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := board.Draw(file, from, to); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	b := browser.Start(t, 1200, 2110)
	b.Open(path)
	picture(t, b, "dashboard.png")
}
