package registry

import (
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/pelletier/go-toml/v2"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// rewrittenHosts is what the containerd of k3s and RKE2 reads of hosts.toml besides
// capabilities and TLS: expressions on the repository's path, with what replaces them.
type rewrittenHosts struct {
	Host map[string]struct {
		Rewrite map[string]string `toml:"rewrite"`
	} `toml:"host"`
}

// rewrites returns the path of a repository at the hosts that have another one, by
// [hostKey]. As there, the first expression that changes the path is the only one.
func (r *Registry) rewrites(registry, repository string, hosts []docker.RegistryHost) map[string]string {
	where := r.where.Load()
	if !where.tables.Rewrite || len(where.dirs) == 0 {
		return nil
	}
	dir, err := hostDir(where.dirs, registry)
	if err != nil {
		return nil // hosts has said what is wrong
	}
	var file rewrittenHosts
	text, err := fsutil.ReadFile(filepath.Join(dir, "hosts.toml"), maxHostsFile)
	if err != nil || toml.Unmarshal(text, &file) != nil {
		return nil // so does containerd, which reads it as it reads the hosts
	}
	paths := map[string]string{}
	for name, host := range file.Host {
		if changed := rewrite(host.Rewrite, repository); changed != repository {
			for _, h := range hosts {
				if isHost(h, name) {
					paths[hostKey(h)] = changed
				}
			}
		}
	}
	return paths
}

func rewrite(rules map[string]string, repository string) string {
	for _, pattern := range slices.Sorted(maps.Keys(rules)) {
		expression, err := regexp.Compile(pattern)
		if err != nil {
			continue // containerd warns and goes on
		}
		if changed := expression.ReplaceAllString(repository, rules[pattern]); changed != repository {
			return changed
		}
	}
	return repository
}

// isHost tells whether a host is that of a table of hosts.toml.
func isHost(host docker.RegistryHost, name string) bool {
	if !strings.Contains(name, "://") {
		name = "https://" + name
	}
	u, err := url.Parse(name)
	if err != nil || u.Host != host.Host || u.Scheme != host.Scheme {
		return false
	}
	own := path.Join("/", host.Path)
	return own == path.Join("/", u.Path) || own == path.Join("/", u.Path, "v2")
}

func hostKey(host docker.RegistryHost) string { return host.Scheme + "://" + host.Host + host.Path }

// pathAt is the path of the repository at a host.
func (p *Repository) pathAt(host docker.RegistryHost) string {
	if changed, ok := p.paths[hostKey(host)]; ok {
		return changed
	}
	return p.path
}

// target is the path of a request at a host, from the root of its API.
func (c *call) target(requested string, host docker.RegistryHost) string {
	return path.Join("/", c.repo.pathAt(host), strings.TrimPrefix(requested, path.Join("/v2", c.repo.path)))
}
