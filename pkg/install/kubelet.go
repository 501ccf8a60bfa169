package install

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/pkg/preflight"
)

const (
	kubeletDropIn  = "90-imagefit.conf"
	kubeletFolder  = "/etc/kubernetes/kubelet.conf.d"
	ownFolder      = "/etc/kubernetes/imagefit.conf.d" // where the other has files that no kubelet reads
	unitDropIn     = "zz-imagefit.conf"                // behind all others, as the last ExecStart= counts
	imageFlag      = "image-service-endpoint"
	microk8sArgs   = "/var/snap/microk8s/current/args/kubelet"
	kubeletVersion = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
)

// byHand is why the kubelet of this node has to be pointed at cri-proxy by the operator.
func (b *builder) byHand(why string) error {
	return fmt.Errorf("%s: set imageServiceEndpoint: %s in the configuration of the kubelet by hand, "+
		"and install the rest with --platform containerd", why, b.Listen)
}

// pointKubelet gives a kubelet that is a unit of its own a drop-in, or a flag where it has
// one already.
func pointKubelet(b *builder) error {
	args := b.unit.args()
	if len(args) == 0 || path.Base(args[0]) != "kubelet" {
		return b.byHand(b.unit.name + " does not start a kubelet itself (ExecStart=" + b.unit.exec + ")")
	}
	b.endpoints(func(n *preflight.Node) (string, string) { return n.KubeletEndpoints(args) })
	if b.Kubelet = b.unit.name; b.pointed() {
		return nil
	}
	dir, has := flagValue(args, "config-dir")
	flag := ""
	switch _, asFlag := flagValue(args, imageFlag); {
	case asFlag: // a flag wins over all files
		flag = "--" + imageFlag + "=" + b.Listen
	case !has && b.losesWithDropIns(args) != "":
		flag = "--" + imageFlag + "=" + b.Listen
		b.note("the kubelet gets a flag, which is deprecated, instead of a folder of drop-ins: with one, it takes the empty %s of its configuration for the default", b.losesWithDropIns(args))
	case !has:
		if dir = kubeletFolder; len(b.list(dir, ".conf")) > 0 {
			dir = ownFolder
		}
		flag = "--config-dir=" + dir
	}
	if !strings.HasPrefix(flag, "--"+imageFlag) {
		if err := b.addDropIn(dir); err != nil {
			return err
		}
	}
	if flag != "" {
		b.addFlag(flag)
	}
	return nil
}

// losesWithDropIns is the first key of the kubelet's configuration that is empty on purpose and
// that a kubelet with a folder of drop-ins gives its default, because it drops what is empty
// when it merges them.
func (b *builder) losesWithDropIns(args []string) string {
	var file struct {
		Enforce  *[]string          `yaml:"enforceNodeAllocatable"`
		Eviction *map[string]string `yaml:"evictionHard"`
	}
	path, _ := flagValue(args, "config")
	switch err := yaml.Unmarshal([]byte(b.read(path)), &file); {
	case err != nil:
		return ""
	case file.Enforce != nil && len(*file.Enforce) == 0:
		return "enforceNodeAllocatable"
	case file.Eviction != nil && len(*file.Eviction) == 0:
		return "evictionHard"
	}
	return ""
}

// addDropIn adds a drop-in of the kubelet's own configuration.
func (b *builder) addDropIn(dir string) error {
	file := path.Join(dir, kubeletDropIn)
	for _, other := range b.list(dir, ".conf") {
		if other > file && strings.Contains(b.read(other), "imageServiceEndpoint") {
			return b.byHand(other + " comes after " + file + " and sets imageServiceEndpoint")
		}
	}
	b.add(File{Path: file, Kubelet: true, Text: "# Written by imagefit install: the kubelet asks cri-proxy for images.\n" +
		kubeletVersion + "imageServiceEndpoint: " + b.Listen + "\n"})
	return nil
}

// addFlag adds a flag to what a unit starts.
func (b *builder) addFlag(flag string) {
	b.Lasts = append(slices.Clone(b.Lasts), "the drop-in of "+b.unit.name+" repeats its ExecStart=: if an upgrade changes that, run imagefit install again (imagefit doctor tells)")
	text := "# Written by imagefit install: ExecStart= of " + b.unit.name + ", with one more flag at its end.\n" +
		"[Service]\nExecStart=\nExecStart=" + b.unit.exec + " " + flag + "\n"
	b.add(File{Path: "/etc/systemd/system/" + b.unit.name + ".d/" + unitDropIn, Kubelet: true, Text: text})
}

// pointRancher uses the folder of drop-ins that k3s and RKE2 give to their kubelet, from
// 1.32 on. Before, and where the kubelet has a flag, they take arguments.
func (b *builder) pointRancher(distribution string) error {
	args := b.unit.args()
	b.endpoints(func(n *preflight.Node) (string, string) { return n.K3sEndpoints(distribution, args) })
	if b.Kubelet = b.unit.name; b.pointed() {
		return nil
	}
	data := "/var/lib/rancher/" + distribution
	if dir, ok := flagValue(args, "data-dir"); ok && dir != data {
		return b.byHand("the data of " + distribution + " is in " + dir)
	}
	folder, settings := data+"/agent/etc/kubelet.conf.d", "/etc/rancher/"+distribution
	if b.exists(folder+"/00-"+distribution+"-defaults.conf") && !b.flagged(settings, args) {
		return b.addDropIn(folder)
	}
	file := settings + "/config.yaml.d/90-imagefit.yaml"
	b.add(File{Path: file, Kubelet: true, Text: "# Written by imagefit install: the kubelet asks cri-proxy for images.\n" +
		"kubelet-arg+:\n  - \"" + imageFlag + "=" + b.Listen + "\"\n"})
	return nil
}

// flagged tells whether k3s gives its kubelet the flag, which wins over all files.
func (b *builder) flagged(settings string, args []string) bool {
	files := append([]string{settings + "/config.yaml"}, b.list(settings+"/config.yaml.d", ".yaml")...)
	return slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, imageFlag) }) ||
		slices.ContainsFunc(files, func(file string) bool { return strings.Contains(b.read(file), imageFlag) })
}

// pointK0s adds to the flags that k0s gives to its kubelet.
func pointK0s(b *builder) error {
	args := b.unit.args()
	if len(args) < 2 || path.Base(args[0]) != "k0s" {
		return b.byHand(b.unit.name + " does not start k0s itself (ExecStart=" + b.unit.exec + ")")
	}
	worker := slices.ContainsFunc(args, func(arg string) bool {
		return arg == "worker" || strings.HasPrefix(arg, "--enable-worker") || strings.HasPrefix(arg, "--single")
	})
	if !worker {
		b.unit = unit{}
		b.note("this k0s controller runs no kubelet")
		return nil
	}
	extra, _ := flagValue(args, "kubelet-extra-args")
	b.endpoints(func(n *preflight.Node) (string, string) { return n.KubeletEndpoints(words(extra)) })
	if b.Kubelet = b.unit.name; b.pointed() {
		return nil
	}
	b.addFlag(`"--kubelet-extra-args=` + strings.TrimSpace(extra+" --"+imageFlag+"="+b.Listen) + `"`)
	return nil
}

// pointMicrok8s adds a line to the file of arguments, which the snap leaves to the operator.
func pointMicrok8s(b *builder) error {
	before := b.read(microk8sArgs)
	args := strings.Fields(before)
	b.endpoints(func(n *preflight.Node) (string, string) { return n.KubeletEndpoints(args) })
	b.runtime = "" // in variables of the snap
	if b.Kubelet = b.unit.name; b.pointed() {
		return nil
	}
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	b.add(File{Path: microk8sArgs, Kubelet: true, Changed: true, Text: before + "--" + imageFlag + "=" + b.Listen + "\n"})
	return nil
}
