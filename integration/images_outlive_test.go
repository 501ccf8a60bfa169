package integration

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/integration/stack"
)

// What was pulled resolves whatever is lost or started again, in any order, and
// without the registry: all that it takes lies with the runtime.
func TestImagesOutliveRestartsAndALostCache(t *testing.T) { keepers(t, testImagesOutlive) }

func testImagesOutlive(t *testing.T, f *fit) {
	s := f.newScene(t, f.cri)
	s.push(t, "1", "INDEX", "plain", "v3")
	s.pull(t, "app:1")
	events := map[string]func() error{
		"cache":   f.removeState,
		"runtime": func() error { return f.containerd.Restart(t.Context()) },
		"killed": func() error {
			return firstError(f.containerd.Kill, func() error { return f.containerd.Start(t.Context()) })
		},
		"proxy": func() error {
			return firstError(func() error { return f.Proxy.Stop(drainTime) }, func() error { return f.StartProxy(t.Context()) })
		},
	}
	for _, order := range []string{
		"cache runtime proxy", "cache proxy runtime", "runtime cache proxy",
		"killed proxy cache", "proxy cache killed", "proxy killed cache",
	} {
		t.Run(order, func(t *testing.T) {
			up := f.registry.Inject(stack.Fault{Status: 503})
			defer up()
			for _, name := range strings.Fields(order) {
				if err := events[name](); err != nil {
					t.Fatal(err)
				}
				f.awaitRuntime(t)
				s.sees(t, pulledByTag)
			}
			for _, ref := range []string{"app:1", "app@INDEX", "app:1@INDEX"} {
				if _, err := f.cri.Pull(t.Context(), s.ref(ref), stack.PullOptions{}); err == nil {
					t.Errorf("pulled %s without a registry", ref)
				}
			}
			s.sees(t, pulledByTag)
			up()
			s.pull(t, "app:1", "app@INDEX", "app:1@INDEX")
			s.sees(t, pulledByTag)
		})
	}
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Pulls of two names of one variant, while another client keeps removing it.
// A pull that loses may fail, as on containerd alone; once the removals end,
// all that a pull returned resolves.
func TestPullsRacingWithRemovalsLeaveNoWrongReference(t *testing.T) { keepers(t, testImagesRace) }

func testImagesRace(t *testing.T, f *fit) {
	s := f.newScene(t, f.cri)
	s.push(t, "1", "INDEX", "plain", "v3")
	s.push(t, "2", "OTHER", "v3", "plain")
	refs := []string{"app:1", "app:2", "app@INDEX", "app:2@OTHER"}
	var pulls sync.WaitGroup
	for _, ref := range refs {
		pulls.Go(func() {
			for range 8 {
				id, err := f.cri.Pull(t.Context(), s.ref(ref), stack.PullOptions{})
				switch image := s.names[digest.Digest(id)]; {
				case err != nil:
					t.Logf("a pull of %s that lost: %v", ref, err)
				case image != "v3":
					t.Errorf("a pull of %s brought %s", ref, image)
				}
			}
		})
	}
	pulled := make(chan struct{})
	go func() { pulls.Wait(); close(pulled) }()
	for i, done := 0, false; !done; i++ {
		s.remove(t, slices.Concat(refs, []string{"id:v3"})[i%5])
		select {
		case <-pulled:
			done = true
		case <-time.After(time.Duration(i%20) * time.Millisecond):
		}
	}
	s.pull(t, refs...)
	s.sees(t, `
		app:1 -> v3: v3, chosen from INDEX
		app:2 -> v3: v3, chosen from OTHER
		app@INDEX -> kept: v3
		app@OTHER -> kept: v3
		app@v3 -> v3: v3, not listed
		id:v3 -> v3: v3`)
}
