package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// Artifacts are found however a registry lists them.
func TestArtifactsAreFoundOnEveryKindOfRegistry(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (*stack.Registry, error){
		"referrers API":         func(*testing.T) (*stack.Registry, error) { return stack.NewRegistry() },
		"tag schema":            func(t *testing.T) (*stack.Registry, error) { return stack.StartDistribution(t.Context()) },
		"wrong artifactType":    func(*testing.T) (*stack.Registry, error) { return stack.NewSloppyRegistry() },
		"API without the right": func(*testing.T) (*stack.Registry, error) { return stack.NewRegistry() },
	} {
		t.Run(name, func(t *testing.T) {
			containerd := startContainerd(t, stack.Options{})
			registry, err := start(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = registry.Close() })
			f := startFitWith(t, containerd, registry, flagsV3, stack.Settings{})
			repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3", "amd64/v2")...)
			for _, manifest := range manifests {
				if _, err := repo.Attach(t.Context(), manifest, stack.Artifact{
					Type: "application/vnd.example.sbom", LayerType: "application/json", Body: []byte(`{}`),
				}); err != nil {
					t.Fatal(err)
				}
			}
			needs(t, repo, manifests[1], `"cpu-cpuid.AMXINT8": true`)
			needs(t, repo, index, `"kernel-version.major": 5`)
			if name == "API without the right" {
				registry.Inject(stack.Fault{Path: "/referrers/", Status: 405})
				f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3") // nothing by tag schema: the level decides
				return
			}
			id := f.pull(t, repo.Ref("1"))
			wantID(t, f.cri, id, repo.Ref("1"))
			f.wantRuns(t, repo.Ref("1"), id, "amd64/v2")
		})
	}
}

// A registry that stops answering during a decision costs the time budget and no more:
// the pull falls back.
func TestRegistryThatStopsAnsweringCostsTheTimeBudget(t *testing.T) {
	for name, path := range map[string]string{
		"referrers": "/referrers/", "artifact": "/blobs/sha256:44136fa|/manifests/sha256:",
	} {
		t.Run(name, func(t *testing.T) {
			f := startFit(t, flagsV3, stack.Settings{Proxy: `select_timeout = "1s"`})
			repo, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
			needs(t, repo, manifests[1], `"cpu-cpuid.AVX2": true`)
			times := 0
			if name == "artifact" {
				times = 1 // only ours: the runtime's own pull must get through
			}
			f.registry.Inject(stack.Fault{Path: path, Hang: true, Times: times})
			start := time.Now()
			id := f.pull(t, repo.Ref("1"))
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("the pull took %s with a budget of 1 s", took)
			}
			wantID(t, f.cri, id, repo.Ref("1"))
			f.wantRuns(t, repo.Ref("1"), id, "amd64")
			if !strings.Contains(f.proxyLog(t), "registry_error") {
				t.Error("the log does not say that nothing was decided")
			}
		})
	}
}

// What an earlier pull learned holds while the registry cannot list referrers.
func TestStaleReferrersAreUsedWhenTheListFails(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3", "amd64/v2")...)
	needs(t, repo, manifests[1], `"cpu-cpuid.AMXINT8": true`)
	first := f.pull(t, repo.Ref("1"))
	f.registry.Inject(stack.Fault{Path: "/referrers/", Status: 503})
	if again := f.pull(t, repo.Ref("1")); again != first {
		t.Errorf("pulled %s, want %s again", again, first)
	}
}

func TestRegistryErrorRefusesThePullIfThePolicySaysSo(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Policy: `registry_error = "refuse"`})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.registry.Inject(stack.Fault{Path: "/referrers/", Status: 503})
	_, err := f.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "imagefit: what "+repo.Ref("1")+" needs cannot be found out") {
		t.Errorf("pull: %v", err)
	}
}

// TestReferrersComeFromTheMirrorWhereTheUpstreamIsFirewalled has hosts.toml as guides write it.
// The upstream accepts connections and never answers: neither a pull by the runtime nor one
// through the proxy contacts it, and the mirror's artifacts decide.
func TestReferrersComeFromTheMirrorWhereTheUpstreamIsFirewalled(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Proxy: `select_timeout = "5s"`})
	upstream, err := stack.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close() })
	upstream.Inject(stack.Fault{Path: "/", Hang: true})
	o := f.offer(t, "mirrored")
	const name = "registry.test"
	text := fmt.Sprintf("server = \"http://%s\"\n[host.\"http://%s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", upstream.Host, f.registry.Host)
	if err := f.containerd.WriteHosts(name, text); err != nil {
		t.Fatal(err)
	}
	ref := name + strings.TrimPrefix(o.ref, f.registry.Host)
	direct, err := f.containerd.CRI.Pull(t.Context(), ref, stack.PullOptions{})
	if err != nil || o.ids[direct] != taken {
		t.Fatalf("without imagefit: %s, %v", o.ids[direct], err)
	}
	for range 2 {
		start := time.Now()
		if got := o.ids[f.pull(t, ref)]; got != best {
			t.Errorf("pulled %s, want %s", got, best)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("the pull took %s: it waited for the upstream", took)
		}
	}
	if asked := upstream.Requests(); len(asked) > 0 {
		t.Errorf("the upstream was asked for %s %s", asked[0].Method, asked[0].Path)
	}
}
