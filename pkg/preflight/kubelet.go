package preflight

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// maxKubeletFile bounds a configuration file of the kubelet.
const maxKubeletFile = 1 << 20

// endpoints are those that a kubelet is configured with.
type endpoints struct {
	Image   string `yaml:"imageServiceEndpoint"`
	Runtime string `yaml:"containerRuntimeEndpoint"`
	file    string // where to change it
}

func (n *Node) checkKubelet() {
	const check = "kubelet"
	var set endpoints
	if kubelets := n.processes("kubelet"); len(kubelets) > 0 {
		set = n.kubeletEndpoints(kubelets[0].args)
	} else if distribution := n.processes("k3s", "k3s-server", "k3s-agent"); len(distribution) > 0 {
		set = n.k3sEndpoints(distribution[0].args)
	} else {
		n.unknown(check, "start it; other clients of the runtime use "+n.Config.Proxy.Listen+" where they choose to", "none runs here")
		return
	}
	used := set.Image
	if used == "" {
		used = set.Runtime
	}
	listen := socketOf(n.Config.Proxy.Listen)
	if used != "" && fsutil.SameFile(socketOf(used), listen) {
		n.ok(check, "it pulls through cri-proxy")
		return
	}
	text := "its image endpoint is " + used
	if used == "" {
		text = "its image endpoint is the default"
	}
	n.problem(check, "set "+set.line(listen)+" and restart it", "it pulls past cri-proxy: %s", text)
}

// KubeletEndpoints are the endpoints of images and of the runtime that a kubelet with these
// arguments uses, "" where it has its default.
func (n *Node) KubeletEndpoints(args []string) (image, runtime string) {
	set := n.kubeletEndpoints(args)
	return set.Image, set.Runtime
}

// K3sEndpoints are those of the kubelet within a k3s or an RKE2 with these arguments.
func (n *Node) K3sEndpoints(distribution string, args []string) (image, runtime string) {
	set := n.distributionEndpoints("/etc/rancher/"+distribution, args)
	return set.Image, set.Runtime
}

// line is what to write where.
func (e endpoints) line(listen string) string {
	if strings.Contains(e.file, "/rancher/") {
		return `kubelet-arg: ["image-service-endpoint=unix://` + listen + `"] in ` + e.file
	}
	return "imageServiceEndpoint: unix://" + listen + " in " + e.file
}

// kubeletEndpoints are those of the configuration file, of its drop-ins, and of the flags, which
// take precedence.
func (n *Node) kubeletEndpoints(args []string) endpoints {
	set := endpoints{file: "/var/lib/kubelet/config.yaml"}
	if file, ok := flag(args, "config"); ok {
		set.file = file
		n.layYAML(file, &set)
	}
	if dir, ok := flag(args, "config-dir"); ok {
		n.layFolder(dir, &set)
	}
	set.layFlags(args)
	if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, "/rancher/rke2/") }) {
		set.file = "/etc/rancher/rke2/config.yaml" // which the flags are made of
	}
	return set
}

// k3sEndpoints are those of k3s' own configuration, which has the flags of its kubelet.
func (n *Node) k3sEndpoints(args []string) endpoints {
	return n.distributionEndpoints("/etc/rancher/k3s", args)
}

func (n *Node) distributionEndpoints(folder string, args []string) endpoints {
	set := endpoints{file: folder + "/config.yaml"}
	n.layFolder("/var/lib/rancher/"+filepath.Base(folder)+"/agent/etc/kubelet.conf.d", &set)
	for _, path := range append([]string{set.file}, n.glob(folder+"/config.yaml.d/*.yaml")...) {
		text, err := fsutil.ReadFile(n.path(path), maxKubeletFile)
		if err != nil || n.hidden(path) {
			continue
		}
		var file struct {
			Image string    `yaml:"image-service-endpoint"`
			Args  yaml.Node `yaml:"kubelet-arg"`
			More  yaml.Node `yaml:"kubelet-arg+"` // added to those of the files before
		}
		if yaml.Unmarshal(text, &file) != nil {
			continue
		}
		if file.Image != "" {
			set.Image = file.Image
		}
		set.layFlags(withDashes(append(listOf(file.Args), listOf(file.More)...)))
	}
	for i, arg := range args {
		if inside, ok := strings.CutPrefix(arg, "--kubelet-arg="); ok {
			set.layFlags(withDashes([]string{inside}))
		} else if arg == "--kubelet-arg" && i+1 < len(args) {
			set.layFlags(withDashes(args[i+1 : i+2]))
		}
	}
	set.layFlags(args)
	return set
}

// listOf are the values of a key that has one or several.
func listOf(value yaml.Node) (list []string) {
	if value.Decode(&list) != nil {
		return []string{value.Value}
	}
	return list
}

func (n *Node) hidden(path string) bool { return n.Hide != nil && n.Hide(path) }

// glob are the paths on the node that match, in the order of their names.
func (n *Node) glob(pattern string) (paths []string) {
	found, _ := filepath.Glob(n.path(pattern))
	for _, path := range found {
		paths = append(paths, "/"+strings.TrimPrefix(strings.TrimPrefix(path, n.Root), "/"))
	}
	return paths
}

// layFolder lays the drop-ins of a folder over what is set.
func (n *Node) layFolder(dir string, into *endpoints) {
	for _, path := range n.glob(dir + "/*.conf") {
		n.layYAML(path, into)
	}
}

func withDashes(list []string) (args []string) {
	for _, one := range list {
		args = append(args, "--"+strings.TrimLeft(one, "-"))
	}
	return args
}

func (n *Node) layYAML(path string, into *endpoints) {
	if n.hidden(path) {
		return
	}
	text, err := fsutil.ReadFile(n.path(path), maxKubeletFile)
	if err != nil && !os.IsNotExist(err) {
		n.unknown("kubelet", asRoot, "cannot read its configuration: %v", err)
	}
	var one endpoints
	if err != nil || yaml.Unmarshal(text, &one) != nil {
		return
	}
	if one.Image != "" {
		into.Image = one.Image
	}
	if one.Runtime != "" {
		into.Runtime = one.Runtime
	}
}

func (e *endpoints) layFlags(args []string) {
	if value, ok := flag(args, "image-service-endpoint"); ok {
		e.Image = value
	}
	if value, ok := flag(args, "container-runtime-endpoint"); ok {
		e.Runtime = value
	}
}

// flag is the last value of a flag.
func flag(args []string, name string) (value string, ok bool) {
	for i, arg := range args {
		arg = strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
		if found, isFlag := strings.CutPrefix(arg, name+"="); isFlag {
			value, ok = found, true
		} else if arg == name && i+1 < len(args) {
			value, ok = args[i+1], true
		}
	}
	return value, ok
}
