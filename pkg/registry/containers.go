package registry

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
)

// ErrBlocked is what the configuration allows no pulls from.
var ErrBlocked = errors.New("blocked by registries.conf")

// Containers says where images are pulled from as containers-registries.conf(5) does, by
// which CRI-O pulls.
type Containers struct {
	Registries []ContainersRegistry
	// Search are the registries in which a short name is looked for, and Aliases short
	// names with the repositories that they stand for.
	Search  []string
	Aliases map[string]string
	// AuthFiles have the credentials for pulls that bring none, by the name of what is
	// asked. One that is missing has none.
	AuthFiles []string
	// CertDirs are the folders with certificates by host; nil is the usual ones.
	CertDirs []string
}

// ContainersRegistry is what is configured for all names with a prefix, which may begin
// with "*." for the subdomains of a host.
type ContainersRegistry struct {
	Prefix string
	// Location takes the place of the prefix; "" leaves it.
	Location string
	Insecure bool // certificates are not verified, and HTTP will do
	Blocked  bool
	Mirrors  []ContainersMirror
}

// ContainersMirror is asked before the registry itself.
type ContainersMirror struct {
	Location                  string
	Insecure                  bool
	NotForTags, NotForDigests bool
}

// Expand returns what a short name stands for, where that is one reference.
func (c *Containers) Expand(short string) (reference.Named, bool) {
	rest := strings.IndexAny(short, ":@")
	if rest < 0 {
		rest = len(short)
	}
	full, known := c.Aliases[short[:rest]]
	if !known {
		if len(c.Search) != 1 {
			return nil, false
		}
		full = c.Search[0] + "/" + short[:rest]
	}
	named, err := reference.ParseDockerRef(full + short[rest:])
	return named, err == nil
}

// find returns what is configured for a repository, by the longest prefix.
func (c *Containers) find(repository string) (found ContainersRegistry, matched int) {
	longest := 0
	for _, r := range c.Registries {
		if n := prefixOf(repository, r.Prefix); n > 0 && len(r.Prefix) > longest {
			found, matched, longest = r, n, len(r.Prefix)
		}
	}
	return found, matched
}

// prefixOf returns how much of a repository's name a prefix matches, 0 for none.
func prefixOf(repository, prefix string) int {
	n := len(prefix)
	if domain, ok := strings.CutPrefix(prefix, "*"); ok {
		host, _, _ := strings.Cut(repository, "/")
		at := strings.Index(host, domain)
		if at < 0 {
			return 0
		}
		n = at + len(domain)
	} else if !strings.HasPrefix(repository, prefix) {
		return 0
	}
	if n < len(repository) && repository[n] != '/' && repository[n] != ':' {
		return 0
	}
	return n
}

// source is a place that a repository is pulled from.
type source struct {
	repository   reference.Named
	insecure     bool
	capabilities docker.HostCapabilities
}

// sources lists the places of a repository in their order, the registry itself last.
func (c *Containers) sources(repository reference.Named) ([]source, error) {
	const all = docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityReferrers
	name := repository.Name()
	entry, matched := c.find(name)
	if matched == 0 {
		return []source{{repository: repository, capabilities: all}}, nil
	}
	if entry.Blocked {
		return nil, fmt.Errorf("%s: %w", entry.Prefix, ErrBlocked)
	}
	var sources []source
	add := func(location string, insecure bool, capabilities docker.HostCapabilities) error {
		at := repository
		if location != "" {
			var err error
			if at, err = reference.ParseNamed(location + name[matched:]); err != nil {
				return fmt.Errorf("location %s of %s in registries.conf: %w", location, entry.Prefix, err)
			}
		}
		sources = append(sources, source{at, insecure, capabilities})
		return nil
	}
	for _, m := range entry.Mirrors {
		capabilities := all
		if m.NotForTags {
			capabilities &^= docker.HostCapabilityResolve
		}
		if m.NotForDigests {
			// Its content may be fetched by digest for what it resolved, but not by itself.
			capabilities = docker.HostCapabilityPull | docker.HostCapabilityResolve
		}
		if err := add(m.Location, m.Insecure, capabilities); err != nil {
			return nil, err
		}
	}
	return sources, add(entry.Location, entry.Insecure, all)
}

// containersHosts are the hosts of a repository by registries.conf, with its path at each.
func (r *Registry) containersHosts(c *Containers, repository reference.Named, auth *Auth, update func(*http.Client) error) ([]docker.RegistryHost, map[string]string, error) {
	sources, err := c.sources(repository)
	if err != nil {
		return nil, nil, err
	}
	var hosts []docker.RegistryHost
	paths := map[string]string{}
	for _, s := range sources {
		host, err := r.containersHost(c, s, auth, update)
		if err != nil {
			return nil, nil, err
		}
		for paths[hostKey(host)] != "" { // another place at the same host
			host.Path += "/."
		}
		paths[hostKey(host)] = reference.Path(s.repository)
		hosts = append(hosts, host)
	}
	return hosts, paths, nil
}

func (r *Registry) containersHost(c *Containers, s source, auth *Auth, update func(*http.Client) error) (docker.RegistryHost, error) {
	domain := reference.Domain(s.repository)
	address, err := docker.DefaultHost(domain)
	if err != nil {
		return docker.RegistryHost{}, err
	}
	config, err := c.tls(domain)
	if err != nil {
		return docker.RegistryHost{}, err
	}
	config.InsecureSkipVerify = s.insecure
	transport := docker.DefaultHTTPTransport(config)
	client := &http.Client{Transport: transport}
	if err := update(client); err != nil {
		return docker.RegistryHost{}, err
	}
	if s.insecure {
		client.Transport = docker.NewHTTPFallback(transport)
	}
	if auth == nil {
		auth = c.authFor(s.repository)
	}
	hosts := []docker.RegistryHost{{
		Client: client, Host: address, Scheme: "https", Path: "/v2", Capabilities: s.capabilities,
		Authorizer: docker.NewDockerAuthorizer(docker.WithAuthClient(client),
			docker.WithAuthCreds(auth.forHost),
			docker.WithAuthHeader(http.Header{"User-Agent": {r.userAgent}})),
	}}
	r.grants.keep(domain, hosts, auth.forHost)
	return hosts[0], nil
}

// authFor returns the node's own credentials for a repository, or nil, without asking a
// helper. The pull says what is wrong with a file.
func (c *Containers) authFor(repository reference.Named) *Auth {
	for _, file := range c.AuthFiles {
		f, err := readAuthFile(file)
		if err != nil {
			continue
		}
		if entry, known := f.entry(repository); known {
			if auth, err := entry.read(); err == nil {
				return auth
			}
		}
	}
	return nil
}

// tls reads the certificates of a host: CAs in *.crt, and *.cert with *.key to show.
func (c *Containers) tls(host string) (*tls.Config, error) {
	dirs := c.CertDirs
	if dirs == nil {
		dirs = []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	}
	config := new(tls.Config)
	for _, dir := range dirs {
		dir = filepath.Join(dir, host)
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		authorities, _ := filepath.Glob(filepath.Join(dir, "*.crt")) // errors only on a bad pattern
		for _, file := range authorities {
			if err := addAuthorities(config, file); err != nil {
				return nil, err
			}
		}
		certificates, _ := filepath.Glob(filepath.Join(dir, "*.cert"))
		for _, file := range certificates {
			key := strings.TrimSuffix(file, ".cert") + ".key"
			pair, err := tls.LoadX509KeyPair(file, key)
			if err != nil {
				return nil, fmt.Errorf("read client certificate %q with key %q: %w", file, key, err)
			}
			config.Certificates = append(config.Certificates, pair)
		}
		break
	}
	return config, nil
}
