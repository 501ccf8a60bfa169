package install

import (
	"strings"

	"github.com/imagefit/imagefit/pkg/containerd"
)

// platform is how a distribution of Kubernetes, or a node without one, is set up.
type platform struct {
	name string
	// evidence are paths that only a node of the platform has.
	evidence []string
	// id is the ID= of /etc/os-release, instead of evidence.
	id string
	// units hold the kubelet: the first that is enabled, else the first that exists.
	units  []string
	socket string // of the runtime
	config string // of containerd
	// point adds the files that point the kubelet at cri-proxy.
	point func(b *builder) error
	// lasts is what becomes of it when the node restarts, is upgraded or replaced.
	lasts []string
	// paste is what belongs into the platform's own configuration, nil where nothing does.
	paste func(listen string) []Snippet
}

const defaultSocket = "/run/containerd/containerd.sock"

// platforms lists them, the most specific first.
func platforms() []platform {
	return append(distributions(), kubelets()...)
}

// distributions bring their own kubelet and containerd.
func distributions() []platform {
	return []platform{
		{name: "talos", id: "talos", paste: pasteTalos, lasts: []string{"the system is read-only: a system extension survives upgrades, anything else does not"}},
		{name: "bottlerocket", id: "bottlerocket", paste: pasteBottlerocket, lasts: []string{"the system is read-only: nothing can be installed in it"}},
		{
			name: "microk8s", evidence: []string{microk8sArgs}, units: []string{"snap.microk8s.daemon-kubelite.service", "snap.microk8s.daemon-kubelet.service"},
			socket: "/var/snap/microk8s/common/run/containerd.sock", config: "/var/snap/microk8s/current/args/containerd.toml",
			point: pointMicrok8s,
			lasts: []string{"snap refresh copies " + microk8sArgs + " to the new revision: the line survives", "snap remove microk8s removes it"},
		},
		{
			name: "rke2", evidence: []string{"/var/lib/rancher/rke2", "/etc/rancher/rke2"}, units: []string{"rke2-server.service", "rke2-agent.service"},
			socket: "/run/k3s/containerd/containerd.sock", config: "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
			point: func(b *builder) error { return b.pointRancher("rke2") },
			lasts: []string{"restarts and upgrades of RKE2 keep all of it", "rke2-uninstall.sh removes the kubelet's line with /etc/rancher and /var/lib/rancher"},
		},
		{
			name: "k3s", evidence: []string{"/etc/systemd/system/k3s.service", "/etc/systemd/system/k3s-agent.service"}, units: []string{"k3s.service", "k3s-agent.service"},
			socket: "/run/k3s/containerd/containerd.sock", config: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
			point: func(b *builder) error { return b.pointRancher("k3s") },
			lasts: []string{"restarts and upgrades of k3s keep all of it", "k3s-uninstall.sh removes the kubelet's line with /etc/rancher and /var/lib/rancher"},
		},
		{
			name: "k0s", evidence: []string{"/etc/systemd/system/k0sworker.service", "/etc/systemd/system/k0scontroller.service"},
			units:  []string{"k0sworker.service", "k0scontroller.service"},
			socket: "/run/k0s/containerd.sock", config: "/etc/k0s/containerd.toml", point: pointK0s,
			lasts: []string{"restarts and upgrades of k0s keep all of it"},
		},
	}
}

// kubelets are nodes whose kubelet is a unit of its own.
func kubelets() []platform {
	unit := []string{"kubelet.service"}
	return []platform{
		{
			name: "eks", evidence: []string{"/etc/eks"}, units: unit, socket: defaultSocket, config: containerd.DefaultPath, point: pointKubelet, paste: pasteEKS,
			lasts: []string{"a new node comes from the AMI and has none of it: put the user data below into the launch template or node class"},
		},
		{
			name: "aks", evidence: []string{"/etc/kubernetes/azure.json"}, units: unit, socket: defaultSocket, config: containerd.DefaultPath, point: pointKubelet, paste: pasteAKS,
			lasts: []string{"a node that is upgraded, reimaged or added comes from the node image and has none of it"},
		},
		{
			name: "kubeadm", evidence: []string{"/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/kubeadm-flags.env"}, units: unit,
			socket: defaultSocket, config: containerd.DefaultPath, point: pointKubelet,
			lasts: []string{"kubeadm upgrade rewrites /var/lib/kubelet/config.yaml, which is not touched"},
		},
		{
			name: "kubelet", evidence: kubeletUnits(), units: unit, socket: defaultSocket, config: containerd.DefaultPath, point: pointKubelet,
			lasts: []string{"restarts and upgrades of the node's packages keep all of it"},
		},
		{
			name: "containerd", evidence: []string{containerd.DefaultPath, "/usr/bin/containerd", "/usr/local/bin/containerd", defaultSocket, crioConfig, "/usr/bin/crio"},
			socket: defaultSocket, config: containerd.DefaultPath,
			lasts: []string{"all of it survives restarts and upgrades"},
		},
	}
}

func kubeletUnits() (paths []string) {
	for _, folder := range unitFolders() {
		paths = append(paths, folder+"/kubelet.service")
	}
	return paths
}

// Names are the names of the platforms.
func Names() (names []string) {
	for _, p := range platforms() {
		names = append(names, p.name)
	}
	return names
}

// found is the evidence that a node is of the platform, "" where there is none.
func (p platform) found(t tree) string {
	if p.id == "" {
		path, _ := t.first(p.evidence...)
		return path
	}
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		for line := range strings.Lines(t.read(file)) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(line), "ID="); ok && strings.Trim(id, `"'`) == p.id {
				return file
			}
		}
	}
	return ""
}
