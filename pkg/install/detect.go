package install

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/containerd"
)

// Evidence is what was found on the node, and where.
type Evidence struct {
	What  string `json:"what"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// detect finds the platform. A distribution is there in addition to what it is built of,
// so the first that is found is taken; two distributions are a question to the operator.
func (t tree) detect(name string) (platform, string, error) {
	var names []string
	for _, p := range platforms() {
		names = append(names, p.name)
		if name == p.name {
			return p, "--platform", nil
		}
	}
	if name != "" {
		return platform{}, "", fmt.Errorf("--platform %q: want one of: %s", name, strings.Join(names, ", "))
	}
	var of []platform
	var from []string
	for _, p := range distributions() {
		if path := p.found(t); path != "" {
			of, from = append(of, p), append(from, p.name+" ("+path+")")
		}
	}
	switch len(of) {
	case 1:
		return of[0], of[0].found(t), nil
	case 0:
	default:
		return platform{}, "", fmt.Errorf("this node looks like %s: name one with --platform", strings.Join(from, " and like "))
	}
	for _, p := range kubelets() {
		if path := p.found(t); path != "" {
			return p, path, nil
		}
	}
	return platform{}, "", fmt.Errorf("no container runtime found below %s: no kubelet, containerd or CRI-O", t.root)
}

// kubeletUnit is the unit that holds the kubelet.
func (t tree) kubeletUnit(p platform) (unit, string) {
	var there []unit
	for _, name := range p.units {
		if u := t.unit(name); len(u.files) > 0 {
			for _, target := range []string{"multi-user.target.wants", "snapd.mounts.target.wants"} {
				if link := filepath.Join("/etc/systemd/system", target, name); t.exists(link) {
					return u, link
				}
			}
			there = append(there, u)
		}
	}
	if len(there) == 0 {
		return unit{}, ""
	}
	return there[0], there[0].files[0]
}

const crioConfig = "/etc/crio/crio.conf"

const crioSocket = "/var/run/crio/crio.sock"

// usesCRIO tells whether the runtime is CRI-O, by the kubelet's endpoint or, where it has
// none, by what is installed.
func (t tree) usesCRIO(endpoint string) (evidence string, yes bool) {
	if endpoint != "" {
		return "containerRuntimeEndpoint of the kubelet", strings.Contains(endpoint, "crio.sock")
	}
	if t.exists(containerd.DefaultPath) {
		return "", false
	}
	for _, path := range []string{crioConfig, "/etc/crio/crio.conf.d", "/usr/bin/crio"} {
		if t.exists(path) {
			return path, true
		}
	}
	return "", false
}

// nri says whether NRI is on, as far as files tell.
func (t tree) nri(config string) (e Evidence, off bool) {
	if t.root != "/" && strings.Contains(t.read(config), "imports") {
		return Evidence{"NRI", "unknown: the files that are imported are read on the node only", config}, false
	}
	settings, err := containerd.Read(t.path(config))
	if err != nil {
		return Evidence{"NRI", "unknown: " + err.Error(), config}, false
	}
	if _, off = settings.NRI(); off {
		return Evidence{"NRI", "off", config}, true
	}
	return Evidence{"NRI", "on, or the default of the version: containerd 1.7 has it off, 2.0 and later on", config}, false
}

// peers are mirrors on the node itself, as peer-to-peer mirrors are.
func (t tree) peers(config string) (found []Evidence) {
	settings, _ := containerd.Read(t.path(config))
	hosts := settings.HostsPath
	if hosts == "" {
		hosts = "/etc/containerd/certs.d"
	}
	for _, dir := range filepath.SplitList(hosts) {
		files, _ := filepath.Glob(filepath.Join(t.path(dir), "*", "hosts.toml"))
		slices.Sort(files)
		for _, file := range files {
			path := "/" + strings.TrimPrefix(strings.TrimPrefix(file, t.root), "/")
			text := t.read(path)
			if strings.Contains(text, "://127.0.0.1") || strings.Contains(text, "://localhost") || strings.Contains(text, "://[::1]") {
				found = append(found, Evidence{"mirror on this node", filepath.Base(filepath.Dir(path)), path})
			}
		}
	}
	return found
}
