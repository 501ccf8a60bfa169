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
		dropIns, _ := filepath.Glob(filepath.Join(n.path(dir), "*.conf"))
		for _, path := range dropIns { // in the order of their names
			n.layYAML(strings.TrimPrefix(path, strings.TrimSuffix(n.Root, "/")), &set)
		}
	}
	set.layFlags(args)
	if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, "/rancher/rke2/") }) {
		set.file = "/etc/rancher/rke2/config.yaml" // which the flags are made of
	}
	return set
}

// k3sEndpoints are those of k3s' own configuration, which has the flags of its kubelet.
func (n *Node) k3sEndpoints(args []string) endpoints {
	set := endpoints{file: "/etc/rancher/k3s/config.yaml"}
	dropIns, _ := filepath.Glob(n.path("/etc/rancher/k3s/config.yaml.d/*.yaml"))
	for _, path := range append([]string{n.path(set.file)}, dropIns...) {
		text, err := fsutil.ReadFile(path, maxKubeletFile)
		if err != nil {
			continue
		}
		var file struct {
			Image string    `yaml:"image-service-endpoint"`
			Args  yaml.Node `yaml:"kubelet-arg"`
		}
		if yaml.Unmarshal(text, &file) != nil {
			continue
		}
		if file.Image != "" {
			set.Image = file.Image
		}
		var list []string
		if file.Args.Decode(&list) != nil {
			list = []string{file.Args.Value}
		}
		set.layFlags(withDashes(list))
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

func withDashes(list []string) (args []string) {
	for _, one := range list {
		args = append(args, "--"+strings.TrimLeft(one, "-"))
	}
	return args
}

func (n *Node) layYAML(path string, into *endpoints) {
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
