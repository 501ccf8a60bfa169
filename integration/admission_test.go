package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

func (f *fit) startPlugin(t *testing.T) {
	t.Helper()
	if err := f.StartPlugin(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// unfit pulls an image in audit mode that needs what the node lacks, as if the
// node had changed since.
func (f *fit) unfit(t *testing.T) (ref, id string) {
	t.Helper()
	repo, _, manifests := f.push(t, "app", variants("amd64")...)
	needs(t, repo, manifests[0], `"cpu-cpuid.AMXINT8": true, "kernel-version.major": 5`)
	return repo.Ref("1"), f.pull(t, repo.Ref("1"))
}

const audit = `mode = "audit"`

func TestPluginRefusesContainersThatDoNotFit(t *testing.T) {
	testPluginRefuses(t, startFit(t, flagsV3, stack.Settings{Policy: audit}))
}

func testPluginRefuses(t *testing.T, f *fit) {
	ref, id := f.unfit(t)
	settings := stack.Settings{Facts: "root = \"" + host(t, flagsV3) + "\"", NRI: "look_up = false"}
	if err := f.containerd.Configure(f.Imagefit, settings); err != nil {
		t.Fatal(err)
	}
	f.startPlugin(t)
	sentence := "imagefit: " + ref + " does not fit this node: linux/amd64 needs cpu.cpuid AMXINT8 (absent)"

	_, err := run(t.Context(), f.cri, ref, stack.PodOptions{ImageRef: id})
	if err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("create: %v\nwant %s", err, sentence)
	}
	t.Run("exempt", func(t *testing.T) {
		for name, opts := range map[string]stack.PodOptions{
			"kube-system": {Namespace: "kube-system", ImageRef: id},
			"static pod":  {Annotations: map[string]string{"kubernetes.io/config.source": "file"}, ImageRef: id},
		} {
			if _, err := run(t.Context(), f.cri, ref, opts); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("others run", func(t *testing.T) {
		repo, _, _ := f.push(t, "other", variants("amd64")...)
		f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
	})
	t.Run("unknown to us", func(t *testing.T) {
		single := variants("amd64")[0]
		single.Variant = "unseen"
		repo := f.registry.Repo("unseen")
		if _, err := repo.PushImage(t.Context(), "1", single); err != nil {
			t.Fatal(err)
		}
		id, err := f.containerd.CRI.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f.wantRuns(t, repo.Ref("1"), id, "unseen")
	})
	t.Run("damaged record", func(t *testing.T) {
		record := filepath.Join(f.StateDir, "images", digest.Digest(id).Encoded()+".json")
		if err := os.WriteFile(record, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			_, err := run(t.Context(), f.cri, ref, stack.PodOptions{ImageRef: id})
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	})
}

func TestPluginInAuditModeAdmitsWhatDoesNotFit(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Policy: audit})
	ref, id := f.unfit(t)
	f.startPlugin(t)
	f.wantRuns(t, ref, id, "amd64")
	if log := f.Plugin.Tail(30); strings.Count(log, "would=refused") != 1 {
		t.Errorf("the log does not say once what would have been refused:\n%s", log)
	}
}

// TestWarnModeRunsWhatDoesNotFitAndSaysSo pulls an image that does not fit, in a namespace
// with mode warn: it runs as without imagefit, and the container carries the sentence
// that a refusal would have. In another namespace the pull is refused.
func TestWarnModeRunsWhatDoesNotFitAndSaysSo(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Policy: "[policy.namespaces]\nstaging = \"warn\""})
	f.startPlugin(t)
	repo, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	for _, m := range manifests {
		needs(t, repo, m, `"cpu-cpuid.AMXINT8": true`)
	}
	if id, err := f.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{Namespace: "prod"}); err == nil {
		t.Errorf("pulled %s in mode enforce", id)
	}
	id, err := f.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{Namespace: "staging"})
	if err != nil {
		t.Fatal(err)
	}
	var container string
	// Until the plugin has read what cri-proxy wrote of the image, it is admitted unchecked.
	deadline := time.Now().Add(10 * time.Second)
	for want := ""; want == ""; time.Sleep(50 * time.Millisecond) {
		if container, err = f.cri.RunContainer(t.Context(), repo.Ref("1"), stack.PodOptions{Namespace: "staging", ImageRef: id}); err != nil {
			t.Fatal(err)
		}
		want = f.annotation(t, container, "imagefit.io/warning")
		if want != "" && want != repo.Ref("1")+" does not fit this node: linux/amd64 needs cpu.cpuid AMXINT8 (absent)" {
			t.Errorf("the container's annotation is %q", want)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the container has no annotation: %s", f.Plugin.Tail(20))
		}
	}
	if out, err := f.cri.WaitOutput(t.Context(), container); err != nil || !strings.Contains(out, "amd64") {
		t.Errorf("the container printed %q, %v", out, err)
	}
	_, err = run(t.Context(), f.cri, repo.Ref("1"), stack.PodOptions{Namespace: "prod", ImageRef: id})
	if err == nil || !strings.Contains(err.Error(), "needs cpu.cpuid AMXINT8 (absent)") {
		t.Errorf("in mode enforce: %v", err)
	}
}

// annotation reads one annotation of the OCI configuration of a container.
func (f *fit) annotation(t *testing.T, container, name string) string {
	t.Helper()
	reply, err := f.cri.Runtime.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: container, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		RuntimeSpec struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"runtimeSpec"`
	}
	if err := json.Unmarshal([]byte(reply.GetInfo()["info"]), &info); err != nil {
		t.Fatal(err)
	}
	return info.RuntimeSpec.Annotations[name]
}

// Requirements are evaluated against the current facts: a CPU flag that went away
// matters for the next container, without another pull.
func TestPluginEvaluatesTheFactsOfTheMoment(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, manifests := f.push(t, "app", variants("amd64")...)
	needs(t, repo, manifests[0], `"cpu-cpuid.AVX2": true`)
	id := f.pull(t, repo.Ref("1"))
	tree := host(t, flagsV3)
	if err := f.containerd.Configure(f.Imagefit, stack.Settings{Facts: "refresh = \"50ms\"\nroot = \"" + tree + "\""}); err != nil {
		t.Fatal(err)
	}
	f.startPlugin(t)
	f.wantRuns(t, repo.Ref("1"), id, "amd64")
	info, err := os.ReadFile(filepath.Join(tree, "proc/cpuinfo"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(info), " avx2", "")
	if err := os.WriteFile(filepath.Join(tree, "proc/cpuinfo"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := run(t.Context(), f.cri, repo.Ref("1"), stack.PodOptions{ImageRef: id})
		if err != nil && strings.Contains(err.Error(), "needs cpu.cpuid AVX2 (absent)") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still created: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// While the plugin is down containerd creates containers unchecked, or, where it
// requires the plugin, none but those that tolerate its absence.
func TestKilledPluginLeavesContainersUncheckedUnlessItIsRequired(t *testing.T) {
	const required = `
[plugins."io.containerd.nri.v1.nri".default_validator]
  enable = true
  required_plugins = ["imagefit"]
  tolerate_missing_plugins_annotation = "imagefit.io/tolerate-missing-plugin"
`
	for name, extra := range map[string]string{"not required": "", "required": required} {
		t.Run(name, func(t *testing.T) {
			containerd := startContainerd(t, stack.Options{Extra: extra})
			f := startFitWith(t, containerd, startRegistry(t), flagsV3, stack.Settings{Policy: audit})
			ref, id := f.unfit(t)
			settings := stack.Settings{Facts: "root = \"" + host(t, flagsV3) + "\"", NRI: "look_up = false"}
			if err := f.containerd.Configure(f.Imagefit, settings); err != nil {
				t.Fatal(err)
			}
			f.startPlugin(t)
			create := func(annotations map[string]string) string {
				_, err := run(t.Context(), f.cri, ref, stack.PodOptions{ImageRef: id, Annotations: annotations})
				if err != nil {
					return err.Error()
				}
				return ""
			}
			if got := create(nil); !strings.Contains(got, "does not fit this node") {
				t.Errorf("while it runs: %q, want it refused", got)
			}
			if err := f.Plugin.Kill(); err != nil {
				t.Fatal(err)
			}
			got := create(nil)
			if extra == "" && got != "" || extra != "" && !strings.Contains(got, `required plugin "imagefit"`) {
				t.Errorf("when it is killed: %q", got)
			}
			if got := create(map[string]string{"imagefit.io/tolerate-missing-plugin": "true"}); got != "" {
				t.Errorf("a pod that tolerates it: %q", got)
			}
			f.startPlugin(t)
			if got := create(nil); !strings.Contains(got, "does not fit this node") {
				t.Errorf("when it runs again: %q, want it refused", got)
			}
		})
	}
}
