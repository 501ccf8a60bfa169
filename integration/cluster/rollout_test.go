package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/controller"
)

const (
	installNamespace = "imagefit-install"
	installName      = "imagefit-install"
)

// rollout are nodes whose DaemonSet pods set up trees. The test does what their kubelets do: it runs the program of
// each pod, and writes what becomes of it into the pod's status.
type rollout struct {
	*scene

	kubeconfig string
	programs   string
	pods       map[string]*installerPod // by node
}

// installerPod is the pod of a node, and its program.
type installerPod struct {
	node, root, socket, log string

	args []string
	stop context.CancelFunc
	code chan int
}

func newRollout(t *testing.T) *rollout {
	t.Helper()
	s := newScene(t)
	r := &rollout{scene: s, programs: filepath.Join(s.dir, "programs"), pods: map[string]*installerPod{}}
	_, err := s.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: installNamespace}}, metav1.CreateOptions{})
	must(t, err)
	r.grant(t)
	token, err := s.CoreV1().ServiceAccounts(installNamespace).CreateToken(t.Context(), installName, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	r.kubeconfig, err = s.plane.Kubeconfig("installer", token.Status.Token)
	must(t, err)
	must(t, os.MkdirAll(r.programs, 0o755))
	must(t, os.Symlink(filepath.Join(filepath.Dir(binary(t)), "imagefit"), filepath.Join(r.programs, "imagefit")))
	r.release(t, "1")
	return r
}

// grant makes the objects of the role that users apply.
func (r *rollout) grant(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(manifests, "installer", "rbac.yaml"))
	must(t, err)
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	var account corev1.ServiceAccount
	var role rbacv1.Role
	var binding rbacv1.RoleBinding
	for _, object := range []any{&account, &role, &binding} {
		must(t, decoder.Decode(object))
	}
	_, err = r.CoreV1().ServiceAccounts(installNamespace).Create(t.Context(), &account, metav1.CreateOptions{})
	must(t, err)
	_, err = r.RbacV1().Roles(installNamespace).Create(t.Context(), &role, metav1.CreateOptions{})
	must(t, err)
	_, err = r.RbacV1().RoleBindings(installNamespace).Create(t.Context(), &binding, metav1.CreateOptions{})
	must(t, err)
}

// release puts other programs into the image.
func (r *rollout) release(t *testing.T, version string) {
	t.Helper()
	for _, name := range []string{"cri-proxy", "nri-plugin"} {
		must(t, os.WriteFile(filepath.Join(r.programs, name), []byte("program "+version), 0o755))
	}
}

// pod makes the pod of a node and starts its program.
func (r *rollout) pod(t *testing.T, node string, args ...string) *installerPod {
	t.Helper()
	p := r.pods[node]
	if p == nil {
		p = &installerPod{node: node, root: t.TempDir(), socket: filepath.Join(r.dir, node+".sock"), log: filepath.Join(r.dir, node+".log")}
		for path, text := range map[string]string{"etc/containerd/config.toml": "version = 3\n", "usr/local/bin/imagefit": "of the node"} {
			path = filepath.Join(p.root, path)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, []byte(text), 0o755))
		}
		r.pods[node] = p
	}
	pod := podObject("install-"+node, "imagefit:1")
	pod.Labels, pod.Spec.NodeName, pod.Spec.ServiceAccountName = map[string]string{"app.kubernetes.io/name": installName}, node, installName
	pod = r.createIn(t, installNamespace, pod)
	pod.Status.Phase = corev1.PodRunning
	_, err := r.CoreV1().Pods(installNamespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	must(t, err)
	p.args = append([]string{
		"install-node", "--kubeconfig", r.kubeconfig, "--namespace", installNamespace, "--pod", pod.Name, "--root", p.root,
		"--programs", r.programs, "--listen", "unix://" + p.socket, "--every", "50ms", "--config-dir", r.dir,
	}, args...)
	p.start(t)
	return p
}

// start starts the program of the pod until the test ends.
func (p *installerPod) start(t *testing.T) {
	t.Helper()
	log, err := os.Create(p.log)
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // until the cleanup
	cmd := exec.CommandContext(ctx, binary(t), p.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = stack.Environ(), log, log
	must(t, cmd.Start())
	code := make(chan int, 1)
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		code <- cmd.ProcessState.ExitCode()
		close(code)
	}()
	p.code = code
	p.stop = func() {
		cancel()
		<-code
	}
	t.Cleanup(p.stop)
}

func (p *installerPod) text() string {
	text, _ := os.ReadFile(p.log)
	return string(text)
}

// ready is what the kubelet's probe finds.
func (p *installerPod) ready() bool {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", p.socket)
	}, DisableKeepAlives: true}}
	reply, err := client.Get("http://pod/readyz")
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, reply.Body)
	_ = reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

func (p *installerPod) await(t *testing.T, what string, wanted func() bool) {
	t.Helper()
	for start := time.Now(); !wanted(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("%s is not %s:\n%s", p.node, what, p.text())
		}
	}
}

func (p *installerPod) awaitText(t *testing.T, text string) {
	t.Helper()
	p.await(t, "waiting: "+text, func() bool { return strings.Contains(p.text(), text) })
}

// done waits until the pod is ready, and has the kubelet say so.
func (r *rollout) done(t *testing.T, p *installerPod) {
	t.Helper()
	p.await(t, "ready", p.ready)
	r.status(t, p, func(s *corev1.PodStatus) {
		s.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	})
}

func (r *rollout) status(t *testing.T, p *installerPod, set func(*corev1.PodStatus)) {
	t.Helper()
	pod, err := r.CoreV1().Pods(installNamespace).Get(t.Context(), "install-"+p.node, getOptions())
	must(t, err)
	set(&pod.Status)
	_, err = r.CoreV1().Pods(installNamespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	must(t, err)
}

// replace deletes the pod of a node, as an upgrade does, and makes another.
func (r *rollout) replace(t *testing.T, node string, args ...string) *installerPod {
	t.Helper()
	r.pods[node].stop()
	now := int64(0)
	must(t, r.CoreV1().Pods(installNamespace).Delete(t.Context(), "install-"+node, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	return r.pod(t, node, args...)
}

func (p *installerPod) has(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.root, path))
	if got := string(text); got != want || want == "" && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s of %s is %q, %v, want %q", path, p.node, got, err, want)
	}
}

const program = "usr/local/bin/cri-proxy"

// TestNodesAreSetUpOneAfterTheOther with the DaemonSet's own account: the canary first, no more than two at once, none after
// one that failed until its pod is deleted; and all of it is taken off again.
func TestNodesAreSetUpOneAfterTheOther(t *testing.T) {
	r := newRollout(t)
	order := []string{"--canary", "1", "--parallel", "2"}
	d, c, b := r.pod(t, "d", order...), r.pod(t, "c", order...), r.pod(t, "b", order...)
	a := r.pod(t, "a", order...)
	a.await(t, "ready", a.ready)
	for _, p := range []*installerPod{b, c, d} { // of which some may have been first before a was there
		if !p.ready() {
			p.awaitText(t, "of which a is not done")
		}
	}
	r.done(t, a)
	for _, p := range []*installerPod{b, c} {
		r.done(t, p)
	}
	r.done(t, d)
	for _, p := range r.pods {
		p.has(t, program, "program 1")
		p.has(t, "etc/imagefit/config.toml", "version = 1\n")
	}

	// An upgrade fails on the first node, where someone else changed a file.
	r.release(t, "2")
	unit := filepath.Join(a.root, "etc/systemd/system/cri-proxy.service")
	before, err := os.ReadFile(unit)
	must(t, err)
	must(t, os.WriteFile(unit, append([]byte("# mine\n"), before...), 0o644))
	a = r.replace(t, "a", order...)
	select {
	case code := <-a.code:
		if code != controller.ExitInstallFailed || !strings.Contains(a.text(), "+# mine") {
			t.Errorf("code %d:\n%s", code, a.text())
		}
	case <-time.After(patience):
		t.Fatalf("the failed installation does not end:\n%s", a.text())
	}
	r.status(t, a, func(s *corev1.PodStatus) {
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "c0", LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: controller.ExitInstallFailed, Message: "a file is not as it was"},
		}}}
	})
	b = r.replace(t, "b", order...)
	b.awaitText(t, "it failed on node a, and no more nodes are set up until its pod install-a is deleted: a file is not as it was")
	b.has(t, program, "program 1")
	must(t, os.WriteFile(unit, before, 0o644))
	a = r.replace(t, "a", order...)
	r.done(t, a)
	r.done(t, b)
	for _, p := range []*installerPod{a, b} {
		p.has(t, program, "program 2")
	}
	c.has(t, program, "program 1")

	// A pod that is started again, as after a restart of its node, waits for none.
	a.stop()
	a.start(t)
	a.await(t, "ready", a.ready)
	if strings.Contains(a.text(), "the node waits") {
		t.Errorf("it waits:\n%s", a.text())
	}

	for node := range r.pods {
		p := r.replace(t, node, "--remove")
		p.await(t, "ready", p.ready)
		p.has(t, program, "")
		p.has(t, "var/lib/imagefit/install.json", "")
		p.has(t, "usr/local/bin/imagefit", "of the node")
	}
}

// TestRemovalIsWaitedFor until the DaemonSet has done it on all nodes.
func TestRemovalIsWaitedFor(t *testing.T) {
	s := newScene(t)
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "imagefit-uninstall"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	set.Spec.Template.Labels = set.Spec.Selector.MatchLabels
	set.Spec.Template.Spec = podObject("x", "imagefit:1").Spec
	set, err := s.AppsV1().DaemonSets(s.namespace).Create(t.Context(), set, metav1.CreateOptions{})
	must(t, err)
	p := &installerPod{node: "job", log: filepath.Join(s.dir, "job.log"), args: []string{
		"await-nodes", "--daemonset", set.Name, "--namespace", s.namespace, "--kubeconfig", filepath.Join(s.plane.Dir, "admin.kubeconfig"), "--timeout", "1h",
	}}
	p.start(t)
	p.awaitText(t, "the DaemonSet has no pods yet")
	for ready, want := range []string{"0 of 2 nodes are done", "1 of 2 nodes are done", "2 of 2 nodes are done"} {
		set.Status.ObservedGeneration, set.Status.DesiredNumberScheduled, set.Status.NumberReady = set.Generation, 2, int32(ready)
		set, err = s.AppsV1().DaemonSets(s.namespace).UpdateStatus(t.Context(), set, metav1.UpdateOptions{})
		must(t, err)
		p.awaitText(t, want)
	}
	select {
	case code := <-p.code:
		if code != 0 {
			t.Errorf("code %d:\n%s", code, p.text())
		}
	case <-time.After(patience):
		t.Fatalf("it does not end:\n%s", p.text())
	}
}
