package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// hostile pushes and pulls an image with eight artifacts of under 1 KB each, which compare
// the kernel options of the node with regular expressions of a thousand instructions.
func (g *gate) hostile(t *testing.T) (ref, id string) {
	t.Helper()
	images := variants("amd64")
	images[0].Variant = "hostile"
	repo, _, manifests := g.push(t, "hostile", images...)
	for i := range 8 {
		// One option is as asked, so that the image fits once all are looked at.
		patterns := strings.Repeat(fmt.Sprintf(`"(.*){240}Z{%d}",`, i+1), 9) + `"^AN_OPTION_011999$"`
		body := fmt.Sprintf(`{"version":"v1alpha1","compatibilities":[{"rules":[{"name":"x","matchFeatures":[`+
			`{"feature":"kernel.config","matchName":{"op":"InRegexp","value":[%s]}}]}]}]}`, patterns)
		artifact := stack.Artifact{
			Type: "application/vnd.nfd.image-compatibility.v1alpha1", LayerType: fmt.Sprintf("application/x%d", i), Body: []byte(body),
		}
		if _, err := repo.Attach(t.Context(), manifests[0], artifact); err != nil {
			t.Fatal(err)
		}
	}
	return repo.Ref("1"), g.pull(t, repo.Ref("1"))
}

// TestHostileImageDoesNotSwitchAdmissionOff: while a container of it runs, and while more
// are created, other images are refused or admitted as before, also after the plugin was
// restarted and had to look at the container that runs.
func TestHostileImageDoesNotSwitchAdmissionOff(t *testing.T) {
	for name, extra := range map[string]string{"not required": "", "required": requirePlugin} {
		t.Run(name, func(t *testing.T) {
			g := startGate(t, stack.Options{Extra: extra})
			tree := host(t, flagsV3)
			var options strings.Builder
			for i := range 12_000 {
				fmt.Fprintf(&options, "CONFIG_AN_OPTION_%06d=y\n", i)
			}
			path := filepath.Join(tree, "boot/config-6.1.0-18-amd64")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(options.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			ref, id := g.hostile(t)
			settings := stack.Settings{Facts: "refresh = \"1s\"\nroot = \"" + tree + "\"", NRI: "look_up = false"}
			if err := g.containerd.Configure(g.Imagefit, settings); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := g.Plugin.Stop(10 * time.Second); err != nil {
					t.Fatal(err)
				}
				g.startPlugin(t)
				sessions := g.PluginSessions()
				g.awaitRefusal(t)
				for range 10 {
					if _, err := g.cri.RunContainer(t.Context(), ref, stack.PodOptions{ImageRef: id}); err != nil {
						t.Errorf("the hostile image itself: %v", err)
					}
					if err := g.create(t, false); err == nil || !strings.Contains(err.Error(), "does not fit this node") {
						t.Errorf("a container that does not fit: %v", err)
					}
					if err := g.create(t, true); err != nil {
						t.Errorf("a container that fits: %v", err)
					}
				}
				if now := g.PluginSessions(); now != sessions {
					t.Errorf("the runtime dropped the plugin: %d sessions, then %d", sessions, now)
				}
			}
		})
	}
}
