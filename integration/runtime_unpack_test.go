package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/containerd"
)

// needOverlay leaves a test out that needs two snapshotters.
func needOverlay(t *testing.T, settings containerd.Settings) {
	t.Helper()
	if settings.Snapshotter != "overlayfs" {
		t.Skipf("the stack has only snapshotter %s here", settings.Snapshotter)
	}
}

// otherHandler is a runtime handler with a snapshotter of its own.
func otherHandler(t *testing.T, plugin string) string {
	t.Helper()
	return fmt.Sprintf(`
[plugins.%[1]q.containerd.runtimes.other]
  runtime_type = "io.containerd.runc.v2"
  snapshotter = "native"
[plugins.%[1]q.containerd.runtimes.other.options]
  Root = %[2]q
`, plugin, t.TempDir())
}

func unpackEntry(platform, snapshotter string) string {
	return fmt.Sprintf("[[plugins.%q.unpack_config]]\nplatform = %q\nsnapshotter = %q\ndiffer = \"walking\"\n",
		"io.containerd.transfer.v1.local", platform, snapshotter)
}

// TestVariantsRunWhereTheyAreExpectedToUnpack: what WillUnpack says of a variant is whether it can run under
// every runtime handler after a pull by digest, as the proxy pulls.
func TestVariantsRunWhereTheyAreExpectedToUnpack(t *testing.T) {
	other := otherHandler(t, "io.containerd.cri.v1.runtime")
	both := []string{"", "other"}
	type test struct {
		name     string
		options  stack.Options
		handlers []string
		want     string
	}
	tests := []test{
		{"defaults", stack.Options{}, []string{""}, "amd64 amd64/v3"},
		{"check", stack.Options{Extra: transferTable + "check_platform_supported = true\n"}, []string{""}, "amd64"},
		{"check up to v4", stack.Options{Extra: transferTable + "check_platform_supported = true\n" +
			unpackEntry("linux/amd64/v4", "overlayfs") + unpackEntry("linux/amd64/v4", "native")}, []string{""}, "amd64 amd64/v3"},
		{"check past the transfer service", stack.Options{DropIn: localPull, Extra: transferTable + "check_platform_supported = true\n"}, []string{""}, "amd64 amd64/v3"},
		{"other snapshotter", stack.Options{Extra: other}, both, "amd64"},
		{"other snapshotter, both in unpack_config", stack.Options{Extra: other + transferTable +
			unpackEntry("linux/amd64", "overlayfs") + unpackEntry("linux/amd64", "native")}, both, "amd64"},
		{"other snapshotter past the transfer service", stack.Options{Extra: other, DropIn: localPull}, both, "amd64"},
		{"other snapshotter in 1.7", stack.Options{Version: stack.Containerd17, Extra: otherHandler(t, "io.containerd.grpc.v1.cri")}, both, "amd64 amd64/v3"},
	}
	for _, version := range requested(t) {
		want := "amd64 amd64/v3"
		if version >= stack.Containerd22 {
			want = "amd64"
		}
		tests = append(tests,
			test{"defaults in " + version, stack.Options{Version: version}, []string{""}, "amd64 amd64/v3"},
			test{"other snapshotter in " + version, stack.Options{Version: version, Extra: other}, both, want})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, registry := startRuntime(t, tt.options), startRegistry(t)
			settings := runtimeSettings(t, c)
			needOverlay(t, settings)
			images := variants("amd64", "amd64/v3")
			for i := range images {
				images[i].OwnLayer = true
			}
			_, manifests, err := registry.Repo("app").PushIndex(t.Context(), "1", images...)
			if err != nil {
				t.Fatal(err)
			}
			var ran, told []string
			for i, manifest := range manifests {
				if err := runsUnder(t, c, registry.Repo("app").DigestRef(manifest), tt.handlers); err == nil {
					ran = append(ran, images[i].Variant)
				} else if !strings.Contains(err.Error(), "parent snapshot") {
					t.Errorf("%s fails for another reason: %v", images[i].Variant, err)
				}
				if settings.WillUnpack(*manifest.Platform) {
					told = append(told, images[i].Variant)
				}
			}
			if strings.Join(ran, " ") != tt.want || strings.Join(told, " ") != tt.want {
				t.Errorf("containerd runs %v, WillUnpack says %v, want %s", ran, told, tt.want)
			}
			if warned := len(settings.Warnings()) > 0; warned != (tt.want == "amd64") {
				t.Errorf("warnings %q", settings.Warnings())
			}
		})
	}
}

// TestPullForARuntimeHandlerUnpacksForItAlone: a pull that names its runtime handler, as kubelets can be
// told to do, is unpacked for it alone. One pull for each makes a variant run under all.
func TestPullForARuntimeHandlerUnpacksForItAlone(t *testing.T) {
	c := startRuntime(t, stack.Options{Extra: otherHandler(t, "io.containerd.cri.v1.runtime") + transferTable +
		unpackEntry("linux/amd64", "overlayfs") + unpackEntry("linux/amd64", "native")})
	needOverlay(t, runtimeSettings(t, c))
	registry := startRegistry(t)
	for name, options := range map[string]stack.PullOptions{
		"field":      {RuntimeHandler: "other"},
		"annotation": {Annotations: map[string]string{"io.containerd.cri.runtime-handler": "other"}},
	} {
		image := variants("amd64/v3")[0]
		image.OwnLayer, image.Variant = true, name
		repo := registry.Repo(name)
		manifest, err := repo.PushImage(t.Context(), "1", image)
		if err != nil {
			t.Fatal(err)
		}
		ref := repo.DigestRef(manifest)
		id, err := c.CRI.Pull(t.Context(), ref, options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run(t.Context(), c.CRI, ref, stack.PodOptions{ImageRef: id, RuntimeHandler: "other"}); err != nil {
			t.Errorf("by %s: does not run under the handler it was pulled for: %v", name, err)
		}
		if _, err := run(t.Context(), c.CRI, ref, stack.PodOptions{ImageRef: id}); err == nil {
			t.Errorf("by %s: runs also under the other handler", name)
		}
		if err := runsUnder(t, c, ref, []string{"", "other"}); err != nil {
			t.Errorf("by %s: after a pull for each handler: %v", name, err)
		}
	}
}

// runsUnder pulls as kubelets do, without a word of the runtime handler, and runs a
// pod under each.
func runsUnder(t *testing.T, c *stack.Containerd, ref string, handlers []string) error {
	t.Helper()
	id, err := c.CRI.Pull(t.Context(), ref, stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, handler := range handlers {
		if _, err := run(t.Context(), c.CRI, ref, stack.PodOptions{ImageRef: id, RuntimeHandler: handler}); err != nil {
			return err
		}
	}
	return nil
}
