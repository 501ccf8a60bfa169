package cluster

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/controller"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// TestNodesReportTheirClass: the reporter may label its own node and nothing else, and the
// controller uses what it reports.
func TestNodesReportTheirClass(t *testing.T) {
	s := newScene(t)
	_, err := apply(t.Context(), s.plane, filepath.Join(manifests, "node-classes"))
	must(t, err)
	s.node(t, "mine", "amd64", "")
	s.node(t, "other", "amd64", "")
	token := s.tokenOnNode(t, "mine")
	kubeconfig, err := s.plane.Kubeconfig("node", token)
	must(t, err)
	s.awaitDenial(t, token)
	report := func(node string) (string, error) {
		cmd := exec.CommandContext(t.Context(), binary(t), "report-node", "--once", "--kubeconfig", kubeconfig,
			"--set", "facts.root="+host(t), "--config-dir", t.TempDir(), "--node", node, "--dimension", "kernel.loadedmodule=nvidia,zfs")
		cmd.Env = stack.Environ()
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := report("other"); err == nil || !strings.Contains(out, "imagefit-nodes may label the node that it runs on only") {
		t.Errorf("of another node: %v, %s", err, out)
	}
	if out, err := report("mine"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	node, err := s.CoreV1().Nodes().Get(t.Context(), "mine", getOptions())
	must(t, err)
	class := node.Labels[nodeclass.Label]
	if _, err := s.objects.Resource(controller.NodeClasses()).Get(t.Context(), class, getOptions()); class == "" || err != nil {
		t.Fatalf("class %q: %v", class, err)
	}
	_, err = s.CoreV1().Nodes().Patch(t.Context(), "other", types.MergePatchType, []byte(`{"metadata":{"labels":{"pool":"x"}}}`), metav1.PatchOptions{})
	must(t, err) // others are not limited
	repo, ref, pushed := s.push(t, "app", "amd64")
	needs(t, repo, pushed[0], `"cpu-cpuid.AMXINT8": true`)
	module, driver, pushed := s.push(t, "driver", "amd64")
	needs(t, module, pushed[0], `"kernel-loadedmodule.nvidia": true`)
	s.start(t)
	s.create(t, podObject("app", ref))
	s.create(t, podObject("driver", driver))
	for _, name := range []string{"app", "driver"} {
		if pod := s.awaitNode(t, name); pod.Spec.NodeName != "other" {
			t.Errorf("%s is on %s, whose class does not fit", name, pod.Spec.NodeName)
		}
	}
}

// tokenOnNode makes a token as a pod of the DaemonSet has it on a node.
func (s *scene) tokenOnNode(t testing.TB, node string) string {
	t.Helper()
	pod := podObject("on-"+node, "app:1")
	pod.Spec.NodeName, pod.Spec.ServiceAccountName = node, "imagefit-nodes"
	pod = s.createIn(t, "imagefit-nodes", pod)
	token, err := s.CoreV1().ServiceAccounts("imagefit-nodes").CreateToken(t.Context(), "imagefit-nodes",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
		}}, metav1.CreateOptions{})
	must(t, err)
	return token.Status.Token
}

// awaitDenial waits until the validating policy is in effect, and checks what it allows.
func (s *scene) awaitDenial(t testing.TB, token string) {
	t.Helper()
	config := admin(s.plane)
	config.BearerToken = token
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	patch := func(node, body string) error {
		_, err := client.CoreV1().Nodes().Patch(context.Background(), node, types.MergePatchType, []byte(body), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	ours := `{"metadata":{"labels":{"imagefit.dev/class":"x"}}}`
	for start := time.Now(); patch("other", ours) == nil; time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("the policy is not in effect")
		}
	}
	if err := patch("mine", ours); err != nil {
		t.Errorf("the label of its own node: %v", err)
	}
	for _, body := range []string{
		`{"metadata":{"labels":{"imagefit.dev/class":"x","pool":"y"}}}`, `{"metadata":{"labels":{"kubernetes.io/arch":"arm64"}}}`,
		`{"metadata":{"labels":{"kubernetes.io/arch":null}}}`, `{"spec":{"unschedulable":true}}`, `{"metadata":{"annotations":{"a":"b"}}}`,
	} {
		if err := patch("mine", body); err == nil || !strings.Contains(err.Error(), "may change the label imagefit.dev/class only") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// host is the tree of a node.
func host(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\nmodel name\t: Test CPU\n" +
			"flags\t\t: fpu sse sse2 ssse3 avx2\n\n",
		"proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
		"proc/modules":              "zfs 1 0 - Live 0x0000000000000000\n",
		"etc/os-release":            "ID=debian\nVERSION_ID=\"12\"\n",
	} {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}
