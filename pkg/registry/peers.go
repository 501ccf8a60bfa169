package registry

import (
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// maxRegistries bounds the registries that LocalMirror looks at.
	maxRegistries = 1000
	// anyRegistry stands for registries that have no entry of their own.
	anyRegistry = "any.invalid"
)

// LocalMirror returns a mirror that runs on this node and the registry that it is one
// of, or nothing. Such a mirror may serve the content of the node's runtime to other
// nodes, under the names that the runtime has for it, as Spegel and the embedded registry
// of k3s do.
func (r *Registry) LocalMirror() (mirror, registry string) {
	own := ownAddresses()
	for _, registry := range r.configured() {
		hosts, err := r.hosts(registry, nil)
		if err != nil {
			continue // a pull says what is wrong
		}
		for _, host := range hosts {
			if own.has(host.Host) && !own.same(host.Host, registry) {
				if registry == anyRegistry {
					registry = "all registries"
				}
				return host.Host, registry
			}
		}
	}
	return "", ""
}

// configured lists the registries that the node has an entry for.
func (r *Registry) configured() []string {
	where := r.where.Load()
	if where.tables.Replace && len(where.dirs) == 0 {
		all := slices.Sorted(maps.Keys(where.tables.Mirrors))
		for i, registry := range all {
			if registry == "*" {
				all[i] = anyRegistry
			}
		}
		return all
	}
	var all []string
	for _, root := range where.dirs {
		for _, name := range folders(root) {
			if len(all) == maxRegistries {
				return all
			}
			all = append(all, registryOf(name))
		}
	}
	return all
}

func folders(root string) []string {
	dir, err := os.Open(filepath.Clean(root))
	if err != nil {
		return nil
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxRegistries)
	if err != nil && err != io.EOF { //nolint:errorlint // as ReadDir documents it
		return nil
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	slices.Sort(names)
	return names
}

// registryOf is the registry of a folder of hosts.toml. Where colons cannot be in a name
// its port is between underscores.
func registryOf(folder string) string {
	if folder == "_default" {
		return anyRegistry
	}
	if host, port, ok := strings.Cut(strings.TrimSuffix(folder, "_"), "_"); ok && strings.HasSuffix(folder, "_") {
		return host + ":" + port
	}
	return folder
}

// addresses are the node's own.
type addresses struct {
	name string
	ips  map[netip.Addr]bool
}

func ownAddresses() addresses {
	a := addresses{ips: map[netip.Addr]bool{}}
	a.name, _ = os.Hostname()
	found, _ := net.InterfaceAddrs() // loopback needs none
	for _, one := range found {
		if prefix, err := netip.ParsePrefix(one.String()); err == nil {
			a.ips[prefix.Addr().Unmap()] = true
		}
	}
	return a
}

// same reports whether a host of this node is the registry itself, by whatever name.
func (a addresses) same(host, registry string) bool {
	_, port, err := net.SplitHostPort(host)
	_, registryPort, registryErr := net.SplitHostPort(registry)
	return host == registry || err == nil && registryErr == nil && port == registryPort && a.has(registry)
}

// has reports whether a host, with or without a port, is this node, as far as that can be
// told without a look-up.
func (a addresses) has(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || a.ips[ip.Unmap().WithZone("")]
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || a.name != "" && strings.EqualFold(host, a.name)
}
