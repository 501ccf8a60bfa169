package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// lacksAMX is something that the test node lacks.
const lacksAMX = `"cpu-cpuid.AMXINT8": true`

// symptomsOfPods are those that a kubelet shows. Artifacts are attached, and images pulled,
// as long as the pod is not there.
func symptomsOfPods() map[string]func(*testing.T, *node) played {
	return map[string]func(*testing.T, *node) played{
		"`ErrImagePull`, with `imagefit: no variant of ... fits this node`": func(t *testing.T, n *node) played {
			a := n.image(t, n.registry, "symptom-pull")
			for _, manifest := range a.manifests {
				needs(t, a.repo, manifest, lacksAMX)
			}
			n.add(t, a, stack.StaticPod{PullPolicy: "Always"})
			status := n.await(t, a.name, func(s stack.PodStatus) bool {
				return (s.Reason == "ErrImagePull" || s.Reason == "ImagePullBackOff") && strings.Contains(s.Message, "no variant of")
			})
			return played{n.fit, a.ref, "ErrImagePull " + status.Message, func(t *testing.T) {
				n.attach(t, a.repo.DigestRef(a.manifests[1]), `"cpu-cpuid.AVX2": true`)
				n.wantPod(t, a.name, a, "amd64/v3")
			}}
		},
		"`CreateContainerError`, with `imagefit: ... does not fit this node`": func(t *testing.T, n *node) played {
			a := n.image(t, n.registry, "symptom-create")
			for _, manifest := range a.manifests {
				needs(t, a.repo, manifest, lacksAMX)
			}
			if _, err := n.cri.Pull(t.Context(), a.ref, stack.PullOptions{Namespace: "kube-system"}); err != nil {
				t.Fatal(err)
			}
			n.add(t, a, stack.StaticPod{PullPolicy: "IfNotPresent"})
			status := n.await(t, a.name, waiting("CreateContainerError"))
			return played{n.fit, a.ref, status.Reason + ": " + status.Message, func(t *testing.T) {
				n.rewrite(t, "[policy]\n", "[policy.repositories.\""+n.registry.Host+"/symptom-create\"]\nmode = \"audit\"\n[policy]\n")
				n.reload(t)
				n.await(t, a.name, running)
			}}
		},
	}
}

// reload has both daemons load the configuration.
func (f *fit) reload(t *testing.T) {
	t.Helper()
	for _, daemon := range []*stack.Process{f.Proxy, f.Plugin} {
		if daemon.Pid() == 0 {
			continue
		}
		log := func() int {
			text, err := os.ReadFile(daemon.Log)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Count(string(text), "configuration reloaded")
		}
		before := log()
		if err := daemon.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the configuration is loaded", func() bool { return log() > before })
	}
}

// twoVariants is a node, and an image of which the second variant needs this.
func twoVariants(t *testing.T, settings stack.Settings, attributes string) (*fit, *stack.Repo, []ocispec.Descriptor) {
	t.Helper()
	f := startFit(t, flagsV3, settings)
	repo, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	if attributes != "" {
		needs(t, repo, manifests[1], attributes)
	}
	return f, repo, manifests
}

// symptomsOfVariants are about what a pull chose.
func symptomsOfVariants() map[string]func(*testing.T) played {
	return map[string]func(*testing.T) played{
		"a pull fails, and the message does not name imagefit": func(t *testing.T) played {
			f := startFit(t, flagsV3, stack.Settings{})
			ref := f.registry.Repo("absent").Ref("1")
			_, err := f.cri.Pull(t.Context(), ref, stack.PullOptions{})
			if err == nil || strings.Contains(err.Error(), "imagefit:") {
				t.Fatalf("the pull of an image that is not there: %v", err)
			}
			return played{f, ref, err.Error(), func(t *testing.T) {
				f.push(t, "absent", variants("amd64")...)
				f.wantRuns(t, ref, f.pull(t, ref), "amd64")
			}}
		},
		"the plain variant runs": func(t *testing.T) played {
			f, repo, manifests := twoVariants(t, stack.Settings{}, `"kernel-version.major": 7`)
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
			return played{f, repo.Ref("1"), "", func(t *testing.T) {
				f.attach(t, repo.DigestRef(manifests[1]), `"kernel-version.major": 6`)
				f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
			}}
		},
		"the plain variant runs, and `explain` puts another first": func(t *testing.T) played {
			f, repo, _ := twoVariants(t, stack.Settings{Policy: audit}, `"cpu-cpuid.AVX2": true`)
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
			if out := f.answer(t, "imagefit", "explain", repo.Ref("1")); !like("linux/amd64/v3 ... 1, best").MatchString(out) {
				t.Errorf("explain says\n%s", out)
			}
			return played{f, repo.Ref("1"), "", func(t *testing.T) {
				f.rewrite(t, audit, `mode = "enforce"`)
				f.reload(t)
				f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
			}}
		},
		"the plain variant runs, and the image was there before imagefit": func(t *testing.T) played {
			f, repo, _ := twoVariants(t, stack.Settings{}, `"cpu-cpuid.AVX2": true`)
			if _, err := f.containerd.CRI.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{}); err != nil {
				t.Fatal(err)
			}
			return played{f, repo.Ref("1"), "", func(t *testing.T) {
				if err := f.cri.Remove(t.Context(), repo.Ref("1")); err != nil {
					t.Fatal(err)
				}
				f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
				if out := f.answer(t, "imagefit", "images", "--check", repo.Ref("1")); !strings.Contains(out, "same") {
					t.Errorf("after the remedy:\n%s", out)
				}
			}}
		},
		"a variant with an artifact is not chosen": func(t *testing.T) played {
			f, repo, manifests := twoVariants(t, stack.Settings{}, "")
			if _, err := repo.Attach(t.Context(), manifests[1], stack.Artifact{Body: []byte(`{"compatibilities": {"nfd": [1]}}`)}); err != nil {
				t.Fatal(err)
			}
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
			return played{f, repo.Ref("1"), "", func(t *testing.T) {
				f.attach(t, repo.DigestRef(manifests[1]), `"cpu-cpuid.AVX2": true`)
				f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
			}}
		},
		"pulls are slow": func(t *testing.T) played {
			f, repo, _ := twoVariants(t, stack.Settings{}, `"cpu-cpuid.AVX2": true`)
			remove := f.registry.Inject(stack.Fault{Path: "/referrers/", Delay: 600 * time.Millisecond})
			if decided := f.decided(t, repo.Ref("1")); decided < 600*time.Millisecond {
				t.Errorf("the decision took %s", decided)
			}
			traced := f.answer(t, "imagefit", "explain", repo.Ref("1"), "--trace")
			if !regexp.MustCompile(`at +\S+ +([6-9]\d\d(\.\d+)?ms|[0-9.]+s) .* GET .*/referrers/`).MatchString(traced) {
				t.Errorf("the trace does not show the slow request:\n%s", traced)
			}
			return played{f, repo.Ref("1"), "", func(t *testing.T) {
				remove()
				if traced := f.answer(t, "imagefit", "explain", repo.Ref("1"), "--trace"); !like("GET ... /referrers/").MatchString(traced) {
					t.Errorf("after the remedy:\n%s", traced)
				}
			}}
		},
		"the plain variant runs since the registry was slow": func(t *testing.T) played {
			f, repo, manifests := twoVariants(t, stack.Settings{Proxy: `select_timeout = "1s"`}, `"cpu-cpuid.AVX2": true`)
			needs(t, repo, manifests[0], `"kernel-version.major": 5`)
			remove := f.registry.Inject(stack.Fault{Path: "/referrers/", Hang: true})
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
			return played{f, repo.Ref("1"), "", func(t *testing.T) {
				remove()
				f.reload(t)
				f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
				if out := f.answer(t, "imagefit", "status"); strings.Contains(out, "breaker open") {
					t.Errorf("after the remedy:\n%s", out)
				}
			}}
		},
	}
}

// decided pulls an image and returns how long the decision took.
func (f *fit) decided(t *testing.T, ref string) time.Duration {
	t.Helper()
	f.pull(t, ref)
	var found []struct {
		DecidedNS int64 `json:"decided_ns"`
	}
	out, _ := f.ourTool(t, "decisions", "--reference", ref, "--limit", "1", "-o", "json")
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	return time.Duration(found[0].DecidedNS)
}

// symptomsOfDaemons are about programs that do not run, or not as they should.
func symptomsOfDaemons() map[string]func(*testing.T) played {
	return map[string]func(*testing.T) played{
		"the plain variant of every image runs": func(t *testing.T) played {
			f, repo, _ := twoVariants(t, stack.Settings{}, `"cpu-cpuid.AVX2": true`)
			if _, err := f.containerd.CRI.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{}); err != nil {
				t.Fatal(err)
			}
			return played{f, repo.Ref("1"), "", func(t *testing.T) {
				f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
				eventually(t, "status shows the client", func() bool {
					return !strings.Contains(f.answer(t, "imagefit", "status"), "no image calls")
				})
			}}
		},
		"no image can be pulled: `connection error ... proxy.sock`": func(t *testing.T) played {
			f, repo, _ := twoVariants(t, stack.Settings{}, "")
			if err := f.Proxy.Stop(drainTime); err != nil {
				t.Fatal(err)
			}
			_, err := f.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
			return played{f, repo.Ref("1"), fmt.Sprint(err), func(t *testing.T) {
				if err := f.StartProxy(t.Context()); err != nil {
					t.Fatal(err)
				}
				eventually(t, "images can be pulled", func() bool {
					_, err := f.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
					return err == nil
				})
			}}
		},
		"`the runtime at ... is not answering`": func(t *testing.T) played {
			f, repo, _ := twoVariants(t, stack.Settings{}, "")
			if err := f.containerd.Kill(); err != nil {
				t.Fatal(err)
			}
			_, err := f.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
			wantReady(t, f.HTTP, 503)
			return played{f, repo.Ref("1"), fmt.Sprint(err), func(t *testing.T) {
				if err := f.containerd.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantReady(t, f.HTTP, 200)
				f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
			}}
		},
		"what does not fit runs all the same": func(t *testing.T) played {
			const off = "version = 3\n[plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true\n"
			f := startFitWith(t, startContainerd(t, stack.Options{DropIn: off, AnyNRI: true}), startRegistry(t), flagsV3, stack.Settings{Policy: audit})
			ref, id := f.unfit(t)
			f.rewrite(t, audit, `mode = "enforce"`)
			if err := f.Plugin.Start(); err != nil {
				t.Fatal(err)
			}
			f.wantRuns(t, ref, id, "amd64")
			return played{f, ref, "", func(t *testing.T) {
				dropIn := filepath.Join(f.containerd.Dir, "containerd.d/50-test.toml")
				if err := os.WriteFile(dropIn, []byte("version = 3\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := f.containerd.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := f.AwaitPlugin(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the container is refused", func() bool {
					_, err := run(t.Context(), f.cri, ref, stack.PodOptions{ImageRef: id})
					return err != nil && strings.Contains(err.Error(), "does not fit this node")
				})
			}}
		},
		"`running containers no longer fit this node` in the log, or an alert": func(t *testing.T) played {
			root := host(t, flagsV3)
			f := startFitOn(t, startContainerd(t, stack.Options{}), startRegistry(t), root, stack.Settings{Facts: `refresh = "100ms"`})
			f.startPlugin(t)
			repo, _, manifests := f.push(t, "app", variants("amd64")...)
			needs(t, repo, manifests[0], `"cpu-cpuid.AVX2": true`)
			runs(t, f, repo.Ref("1"))
			folder := filepath.Join(root, "etc/imagefit/facts.d")
			file := filepath.Join(folder, "10-hypervisor.toml")
			eventually(t, "the container is audited", func() bool {
				return strings.Contains(f.answer(t, "imagefit", "audit"), "1 admitted")
			})
			pluginHTTP := filepath.Join(f.containerd.Dir, "plugin-http.sock")
			awaitMetric(t, pluginHTTP, `imagefit_audit_containers{verdict="admitted"} 1`)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("version = 1\nabsent = [\"cpu.cpuid/AVX2\"]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			awaitMetric(t, pluginHTTP, `imagefit_audit_containers{verdict="refused"} 1`)
			return played{f, repo.Ref("1"), read(t, f.Plugin.Log), func(t *testing.T) {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				awaitMetric(t, pluginHTTP, `imagefit_audit_containers{verdict="refused"} 0`)
				if out := f.answer(t, "imagefit", "audit"); !strings.Contains(out, "1 admitted") {
					t.Errorf("after the remedy:\n%s", out)
				}
			}}
		},
		"`cannot load the configuration, using the last valid one` in the log": func(t *testing.T) played {
			f, repo, _ := twoVariants(t, stack.Settings{}, "")
			if err := f.Proxy.Stop(drainTime); err != nil {
				t.Fatal(err)
			}
			f.rewrite(t, "log_level", "log_levle")
			if err := f.StartProxy(t.Context()); err != nil {
				t.Fatal(err)
			}
			return played{f, repo.Ref("1"), f.proxyLog(t), func(t *testing.T) {
				f.rewrite(t, "log_levle", "log_level")
				eventually(t, "the mended file is loaded", func() bool { return strings.Contains(f.proxyLog(t), "configuration reloaded") })
				if out := f.answer(t, "imagefit", "config", "check"); !strings.Contains(out, "valid") {
					t.Errorf("after the remedy:\n%s", out)
				}
			}}
		},
	}
}
