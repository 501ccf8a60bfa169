package catalog

import (
	"fmt"
	"strings"
)

// Hosts says how a node reaches the copies of a mirror.
type Hosts struct {
	Mirror string // registry, and prefix of its repositories, that images were copied to
	// Plain tells registries that are reached by HTTP.
	Plain func(host string) bool
	// Resolve has nodes ask the mirror what a tag is, too. Its indexes lack variants.
	Resolve bool
}

// File is the hosts.toml for the images of a registry. Without Resolve the registry says
// what a tag is, and the mirror serves the variants that it has.
func (h Hosts) File(registry string) string {
	scheme := func(host string) string {
		if h.Plain(host) {
			return "http://"
		}
		return "https://"
	}
	server := registry
	if registry == "docker.io" {
		server = "registry-1.docker.io"
	}
	host, prefix, _ := strings.Cut(strings.TrimSuffix(h.Mirror, "/"), "/")
	url, capabilities, override := scheme(host)+host, `["pull"]`, ""
	if prefix != "" {
		url, override = url+"/v2/"+prefix, "override_path = true\n"
	}
	if h.Resolve {
		capabilities = `["pull", "resolve"]`
	}
	return fmt.Sprintf("# Variants that imagefit catalog mirror copied.\nserver = %q\n\n[host.%q]\ncapabilities = %s\n%s", scheme(server)+server, url, capabilities, override)
}
