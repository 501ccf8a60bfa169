package preflight

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/config"
)

// maxHostsFile bounds a hosts.toml file.
const maxHostsFile = 1 << 20

func (n *Node) checkNRI() {
	const check = "nri"
	socket := n.Config.NRI.Socket
	if _, err := os.Stat(n.path(socket)); err == nil {
		n.ok(check, "the socket %s exists", socket)
		return
	}
	switch own, off := n.runtime.NRI(); {
	case n.runtime.Name != "" && n.runtime.Name != "containerd":
		n.problem(check, "for CRI-O set enable_nri = true in [crio.nri] and restart it", "there is no socket %s", socket)
	case off:
		n.problem(check, `set disable = false in [plugins."io.containerd.nri.v1.nri"] of `+n.Config.Runtime.Config+" and restart containerd",
			"NRI is off in containerd, so that nri-plugin checks nothing")
	case own != "" && own != socket:
		n.problem(check, "set nri.socket = "+own, "there is no socket %s; containerd's is %s", socket, own)
	case !n.answered:
		n.unknown(check, "start the runtime", "there is no socket %s while the runtime does not answer", socket)
	default:
		n.problem(check, "restart containerd, and see its log for NRI", "there is no socket %s", socket)
	}
}

func (n *Node) checkHosts() {
	const check = "registries"
	path := n.Config.Registry.HostsPath(n.runtime.HostsPath, n.runtime.HostsKnown)
	if path == "" {
		n.ok(check, "without directories of hosts.toml files, as the runtime has none")
		return
	}
	var missing []string
	dirs := filepath.SplitList(path)
	for _, dir := range dirs {
		if _, err := os.Stat(n.path(dir)); err != nil {
			missing = append(missing, dir)
		}
		n.checkCapabilities(dir)
	}
	switch {
	case len(missing) < len(dirs):
		n.ok(check, "hosts.toml files are read from %s", path)
	case n.Config.Registry.ConfigPath != config.Auto:
		n.problem(check, `create it, or set registry.config_path = "auto"`, "there is no directory %s (registry.config_path)", path)
	default:
		n.ok(check, "there is no directory %s, so registries have no mirrors", path)
	}
}

// checkCapabilities finds what the runtime ignores a whole hosts.toml file for.
func (n *Node) checkCapabilities(dir string) {
	if n.runtime.Version == "" || n.runtime.ReadsReferrersCapability() {
		return
	}
	files, _ := filepath.Glob(filepath.Join(n.path(dir), "*", "hosts.toml"))
	for _, file := range files {
		var hosts struct {
			Host map[string]struct {
				Capabilities []string `toml:"capabilities"`
			} `toml:"host"`
			Capabilities []string `toml:"capabilities"`
		}
		text, err := fsutil.ReadFile(file, maxHostsFile)
		if err != nil || toml.Unmarshal(text, &hosts) != nil {
			continue
		}
		used := slices.Contains(hosts.Capabilities, "referrers")
		for _, host := range hosts.Host {
			used = used || slices.Contains(host.Capabilities, "referrers")
		}
		if used {
			shown := strings.TrimPrefix(file, strings.TrimSuffix(n.Root, "/"))
			n.problem("registries", `remove "referrers", or the capabilities line`,
				`%s has "referrers" in capabilities: containerd %s ignores the whole file, and its mirrors`, shown, n.runtime.Version)
		}
	}
}

// checkProxyVariables finds an HTTP proxy that only the runtime is told of.
func (n *Node) checkProxyVariables() {
	const check = "http proxy"
	runtime := n.Peer(socketOf(n.Config.Runtime.Endpoint))
	if runtime == 0 {
		return
	}
	theirs := proxyVariables(n.proc(runtime, "environ"))
	if theirs == nil {
		n.unknown(check, asRoot, "cannot read the environment of the runtime (pid %d)", runtime)
		return
	}
	for _, p := range n.processes("cri-proxy", "nri-plugin") {
		ours := proxyVariables(n.proc(p.pid, "environ"))
		var differ []string
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
			if theirs[name] != ours[name] {
				differ = append(differ, name)
			}
		}
		if ours != nil && len(differ) > 0 {
			n.problem(check, "write the lines of the runtime's unit into /etc/default/imagefit and restart "+p.comm,
				"%s of %s is not as the runtime's", strings.Join(differ, ", "), p)
			return
		}
	}
	n.ok(check, "the variables are as the runtime's")
}

// proxyVariables are those of an environment that an HTTP client reads. Their values may
// hold a password and are only compared.
func proxyVariables(environ string) map[string]string {
	if environ == "" {
		return nil
	}
	found := map[string]string{}
	for _, entry := range strings.FieldsFunc(environ, isNul) {
		name, value, _ := strings.Cut(entry, "=")
		upper := strings.ToUpper(name)
		if found[upper] == "" || name == upper { // as net/http, which reads capitals first
			found[upper] = value
		}
	}
	return found
}
