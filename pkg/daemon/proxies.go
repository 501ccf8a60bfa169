package daemon

import (
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/systemd"
)

// warnOfProxies logs which HTTP proxies the runtime's unit has and this process has not: it
// would reach registries in another way than the runtime, or not at all.
func warnOfProxies(root, endpoint string, getenv func(string) string, log *slog.Logger) {
	for _, unit := range runtimeUnits(endpoint) {
		set := systemd.Environment(root, unit, "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
		for _, name := range slices.Sorted(maps.Keys(set)) {
			if getenv(name) == "" && getenv(strings.ToLower(name)) == "" {
				log.Warn("the runtime's unit sets an HTTP proxy that this daemon does not have, write it into /etc/default/imagefit",
					"variable", name, "file", set[name], "unit", unit)
			}
		}
	}
}

// runtimeUnits are the units that may run the runtime at an endpoint.
func runtimeUnits(endpoint string) []string {
	switch {
	case strings.Contains(endpoint, "/k3s/"):
		return []string{"k3s.service", "k3s-agent.service", "rke2-server.service", "rke2-agent.service"}
	case strings.Contains(endpoint, "/k0s/"):
		return []string{"k0scontroller.service", "k0sworker.service"}
	case strings.Contains(endpoint, "/microk8s/"):
		return []string{"snap.microk8s.daemon-containerd.service"}
	case strings.Contains(endpoint, "crio"):
		return []string{"crio.service"}
	}
	return []string{"containerd.service"}
}

// warnOfProxies is of this node.
func (d *Daemon) warnOfProxies() { warnOfProxies("/", d.Config().Runtime.Endpoint, os.Getenv, d.Log) }
