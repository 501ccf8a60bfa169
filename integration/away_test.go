package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

const requirePlugin = `
[plugins."io.containerd.nri.v1.nri".default_validator]
  enable = true
  required_plugins = ["imagefit"]
  tolerate_missing_plugins_annotation = "imagefit.io/tolerate-missing-plugin"
`

// gate is a plugin that refuses one image and admits another, and a pod in which
// containers are created. Nothing but CreateContainer is called, since each other call
// lets the runtime notice that a plugin is gone.
type gate struct {
	*fit
	pod     string
	sandbox *runtimeapi.PodSandboxConfig
	images  map[bool][2]string // by whether it fits: reference and id
	created int
}

func startGate(t *testing.T, opts stack.Options) *gate {
	t.Helper()
	f := startFitWith(t, startContainerd(t, opts), startRegistry(t), flagsV3, stack.Settings{Policy: audit})
	g := &gate{fit: f, images: map[bool][2]string{}}
	ref, id := f.unfit(t)
	g.images[false] = [2]string{ref, id}
	other := variants("amd64")
	other[0].Variant = "other" // else both have one id
	repo, _, _ := f.push(t, "other", other...)
	g.images[true] = [2]string{repo.Ref("1"), f.pull(t, repo.Ref("1"))}
	settings := stack.Settings{Facts: "root = \"" + host(t, flagsV3) + "\"", NRI: "look_up = false"}
	if err := f.containerd.Configure(f.Imagefit, settings); err != nil {
		t.Fatal(err)
	}
	f.startPlugin(t)
	g.sandbox = &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: "gate", Namespace: "default", Uid: "gate"},
		LogDirectory: t.TempDir(),
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent: f.cri.CgroupParent,
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
				NamespaceOptions: &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE},
			},
		},
	}
	pod, err := f.cri.Runtime.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: g.sandbox})
	if err != nil {
		t.Fatal(err)
	}
	g.pod = pod.GetPodSandboxId()
	t.Cleanup(func() { _ = f.cri.CleanupPods(context.Background()) })
	return g
}

// create creates a container of the image that fits, or of the other one.
func (g *gate) create(t *testing.T, fits bool) error {
	t.Helper()
	g.created++
	image := g.images[fits]
	_, err := g.cri.Runtime.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{
		PodSandboxId: g.pod, SandboxConfig: g.sandbox,
		Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: fmt.Sprint("c", g.created)},
			Image:    &runtimeapi.ImageSpec{Image: image[1], UserSpecifiedImage: image[0]},
			LogPath:  fmt.Sprintf("%d.log", g.created),
			Linux:    &runtimeapi.LinuxContainerConfig{},
		},
	})
	return err
}

// awaitRefusal waits until the plugin refuses what does not fit.
func (g *gate) awaitRefusal(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := g.create(t, false)
		if err != nil && strings.Contains(err.Error(), "does not fit this node") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the plugin is not back: %v", err)
		}
	}
}

// TestStoppedPluginCostsNoContainer: containers are created all the time while the plugin
// is stopped and started, as in an upgrade.
func TestStoppedPluginCostsNoContainer(t *testing.T) {
	for _, version := range stack.Versions() {
		t.Run(version, func(t *testing.T) {
			g := startGate(t, stack.Options{Version: version})
			const restarts = 8
			stop, failed := make(chan struct{}), []string{}
			var creating sync.WaitGroup
			creating.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := g.create(t, true); err != nil {
						failed = append(failed, err.Error())
					}
				}
			})
			for range restarts {
				if err := g.Plugin.Stop(10 * time.Second); err != nil {
					t.Error(err)
				}
				g.startPlugin(t)
			}
			close(stop)
			creating.Wait()
			if len(failed) > 0 {
				t.Errorf("%d of %d containers failed, the first: %s", len(failed), g.created, failed[0])
			}
			t.Logf("%d containers in %d stops, %d failed", g.created, restarts, len(failed))
			g.awaitRefusal(t)
		})
	}
}

// TestNextPluginTakesOverWithoutAGap: it connects before the one before it stops. No
// container fails, and none is created that does not fit, whether or not the runtime
// requires the plugin.
func TestNextPluginTakesOverWithoutAGap(t *testing.T) {
	tests := map[string]stack.Options{}
	for _, version := range stack.Versions() {
		tests[version] = stack.Options{Version: version}
		if version >= stack.Containerd22 {
			tests[version+", required"] = stack.Options{Version: version, Extra: requirePlugin}
		}
	}
	for name, opts := range tests {
		t.Run(name, func(t *testing.T) {
			g := startGate(t, opts)
			g.awaitRefusal(t)
			stop := make(chan struct{})
			var creating sync.WaitGroup
			creating.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := g.create(t, true); err != nil {
						t.Errorf("a container that fits: %v", err)
					}
					if err := g.create(t, false); err == nil {
						t.Error("a container that does not fit is created")
					}
				}
			})
			for i := range 3 {
				old := g.Plugin
				next := &stack.Process{Path: old.Path, Args: old.Args, Log: fmt.Sprintf("%s.%d", old.Log, i)}
				g.Plugin = next
				if err := next.Start(); err != nil {
					t.Fatal(err)
				}
				if err := g.AwaitPlugin(t.Context(), 0); err != nil {
					t.Error(err)
				}
				time.Sleep(200 * time.Millisecond) // Synchronize has returned to the runtime
				if err := old.Stop(10 * time.Second); err != nil {
					t.Error(err)
				}
			}
			close(stop)
			creating.Wait()
			t.Logf("%d containers in three handovers", g.created)
		})
	}
}

// away are the ways in which a plugin is away, and how it comes back.
func away() []struct {
	what  string
	leave func(g *gate) error
	back  func(t *testing.T, g *gate)
} {
	start := func(t *testing.T, g *gate) { t.Helper(); g.startPlugin(t) }
	return []struct {
		what  string
		leave func(g *gate) error
		back  func(t *testing.T, g *gate)
	}{
		{"stopped (SIGTERM)", func(g *gate) error { return g.Plugin.Stop(10 * time.Second) }, start},
		{"killed (SIGKILL)", func(g *gate) error { return g.Plugin.Kill() }, start},
		{"hangs (SIGSTOP)", func(g *gate) error { return g.Plugin.Signal(syscall.SIGSTOP) }, func(t *testing.T, g *gate) {
			t.Helper()
			if err := g.Plugin.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		}},
	}
}

// fate says what became of containers, the first of them first.
func fate(errs []error) string {
	first, others := errs[0] == nil, 0
	for _, err := range errs[1:] {
		if err == nil {
			others++
		}
	}
	switch {
	case first && others == len(errs)-1:
		return "created"
	case !first && others == 0:
		return "refused"
	case !first && others == len(errs)-1:
		return "the first is refused, the next are created"
	case first && others == 0:
		return "the first is created, the next are refused"
	}
	return "some are created"
}

// restarted says what becomes of containers before, while and after the plugin is
// restarted.
func (g *gate) restarted(t *testing.T, fits bool) string {
	t.Helper()
	g.awaitRefusal(t)
	before := g.create(t, fits)
	if err := g.Plugin.Stop(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	meanwhile := fate([]error{g.create(t, fits), g.create(t, fits)})
	g.startPlugin(t)
	around := fate([]error{before, g.create(t, fits)})
	if meanwhile == around {
		return around
	}
	return fmt.Sprintf("%s; %s while it is away", around, meanwhile)
}

// TestWhatHappensWhileThePluginIsAwayIsDocumented plays each way in which the plugin is
// away, on each runtime: the rows are those of the table in docs/admission.md. Where the
// plugin is required, no container is created that does not fit.
func TestWhatHappensWhileThePluginIsAwayIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/admission.md")
	if err != nil {
		t.Fatal(err)
	}
	type runtime struct {
		name, row string
		opts      stack.Options
		required  bool
	}
	var runtimes []runtime
	for _, version := range stack.Versions() {
		row := "containerd 1.7 to 2.1"
		if version >= stack.Containerd22 {
			row = "containerd 2.2 to 2.4"
			runtimes = append(runtimes, runtime{version + ", required", row + ", required", stack.Options{Version: version, Extra: requirePlugin}, true})
		}
		runtimes = append(runtimes, runtime{version, row, stack.Options{Version: version}, false})
	}
	for _, runtime := range runtimes {
		t.Run(runtime.name, func(t *testing.T) {
			g := startGate(t, runtime.opts)
			check := func(what string, fates map[bool]string) {
				row := fmt.Sprintf("| %s | %s | %s | %s |", runtime.row, what, fates[true], fates[false])
				t.Log(row)
				if !strings.Contains(string(page), row) {
					t.Errorf("docs/admission.md has no row\n%s", row)
				}
				if runtime.required && fates[false] != "refused" {
					t.Errorf("%s: containers that do not fit are created: %s", what, fates[false])
				}
			}
			check("restarted", map[bool]string{true: g.restarted(t, true), false: g.restarted(t, false)})
			for _, way := range away() {
				fates := map[bool]string{}
				for _, fits := range []bool{true, false} {
					g.awaitRefusal(t)
					if err := way.leave(g); err != nil {
						t.Fatal(err)
					}
					var errs []error
					for range 4 {
						errs = append(errs, g.create(t, fits))
					}
					fates[fits] = fate(errs)
					t.Logf("%s, fits %t: %v", way.what, fits, errs)
					way.back(t, g)
				}
				check(way.what, fates)
			}
			g.awaitRefusal(t)
		})
	}
}
