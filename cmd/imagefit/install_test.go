package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/install"
)

// kubeadmTree is a node of kubeadm below a folder, and a release beside it.
func kubeadmTree(t *testing.T) (root, programs string) {
	t.Helper()
	dir := t.TempDir()
	root, programs = filepath.Join(dir, "root"), filepath.Join(dir, "release")
	files := map[string]string{
		"root/etc/kubernetes/kubelet.conf":            "kind: Config\n",
		"root/usr/lib/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml\n",
		"root/var/lib/kubelet/config.yaml":            "kind: KubeletConfiguration\n",
		"root/etc/containerd/config.toml":             "version = 3\n",
		"release/cri-proxy":                           "\x00",
		"release/nri-plugin":                          "\x00",
		"release/imagefit":                            "\x00",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root, programs
}

func TestInstallAndUninstallPrintWhatTheyDo(t *testing.T) {
	t.Parallel()
	root, programs := kubeadmTree(t)
	planned := toolOK(t, "install", "--root", root, "--programs", programs, "--dry-run")
	for _, want := range []string{"platform              kubeadm", "+++ /usr/local/bin/cri-proxy", "+imageServiceEndpoint: unix:///run/imagefit/cri-proxy.sock", "kubelet.service"} {
		if !strings.Contains(planned, want) {
			t.Errorf("there is no %q in\n%s", want, planned)
		}
	}
	var result install.Result
	if err := json.Unmarshal([]byte(toolOK(t, "install", "--root", root, "--programs", programs, "--dry-run", "-o", "json")), &result); err != nil || result.Kubelet != "kubelet.service" {
		t.Errorf("%v: %+v", err, result)
	}
	if got := toolOK(t, "install", "--root", root, "--programs", programs); !strings.HasPrefix(got, "installed on kubeadm: 12 files written") {
		t.Errorf("install says %q", got)
	}
	if got := toolOK(t, "install", "--root", root, "--programs", programs); got != "nothing to change\n" {
		t.Errorf("the second install says %q", got)
	}
	socket := filepath.Join(root, "etc/systemd/system/cri-proxy.socket")
	text, err := os.ReadFile(socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, append(text, "# mine\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	refused := tool(t, "", "uninstall", "--root", root)
	if refused.err == nil || !strings.Contains(refused.stderr, "+# mine") || !strings.Contains(refused.stderr, "--force") {
		t.Errorf("a changed file: %v, %s", refused.err, refused.stderr)
	}
	if got := toolOK(t, "uninstall", "--root", root, "--force"); got != "removed: 12 files are as they were\n" {
		t.Errorf("uninstall says %q", got)
	}
	if got := toolOK(t, "uninstall", "--root", root); !strings.HasPrefix(got, "nothing to remove") {
		t.Errorf("the second uninstall says %q", got)
	}
}
