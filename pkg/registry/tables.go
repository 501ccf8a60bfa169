package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// Tables are what containerd's own configuration has on registries beside
// config_path, in tables that are deprecated and still common on containerd 1.7.
type Tables struct {
	// Replace is whether Mirrors and TLS take the place of hosts.toml files, as they
	// do where the runtime has no config_path.
	Replace bool
	// Mirrors are the endpoints to ask for a registry, or for "*", which is every
	// registry that has no entry of its own.
	Mirrors map[string][]string
	// TLS is by the host of an endpoint, port included.
	TLS map[string]TLS
	// Auths are for pulls that bring no credentials, by host. They also apply to
	// the hosts of hosts.toml files.
	Auths map[string]Auth
	// Headers are sent to the hosts of every registry.
	Headers http.Header
	// Rewrite is whether the runtime applies the rewrite tables of hosts.toml files, as
	// the containerd of k3s and RKE2 does.
	Rewrite bool
	// Containers, where set, takes the place of all others and of hosts.toml files: the
	// runtime is CRI-O.
	Containers *Containers
}

// TLS is how an endpoint is verified and what it is shown.
type TLS struct {
	CAFile, CertFile, KeyFile string
	InsecureSkipVerify        bool
}

// authFor returns the credentials of a pull for a host: those of the node only
// where the pull brings none.
func (t *Tables) authFor(host string, auth *Auth) *Auth {
	if own, ok := t.Auths[host]; ok && auth == nil {
		return &own
	}
	return auth
}

// endpoints lists whom to ask for a registry: its mirrors, then the registry itself
// unless it is one of them.
func (t *Tables) endpoints(registry string) ([]*url.URL, error) {
	listed, ok := t.Mirrors[registry]
	if !ok {
		listed = t.Mirrors["*"]
	}
	itself, err := docker.DefaultHost(registry)
	if err != nil {
		return nil, err
	}
	var all []*url.URL
	for _, text := range append(listed[:len(listed):len(listed)], itself) {
		u, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		if text == itself && hasHost(all, registry, itself) {
			break
		}
		all = append(all, u)
	}
	return all, nil
}

func hasHost(all []*url.URL, names ...string) bool {
	for _, u := range all {
		for _, name := range names {
			if u.Host == name {
				return true
			}
		}
	}
	return false
}

// parseEndpoint reads an endpoint, which may leave out its scheme. The error does
// not quote it, because it may have a password in it.
func parseEndpoint(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		u, err := url.Parse("https://" + text)
		if err == nil && docker.IsLocalhost(u.Host) {
			u.Scheme = "http"
		}
		return u, hideURL(err)
	}
	u, err := url.Parse(text)
	return u, hideURL(err)
}

func hideURL(err error) error {
	if err != nil {
		return errors.New("read a mirror's endpoint: not a URL")
	}
	return nil
}

// tableHosts are the hosts of a registry as containerd makes them of the tables.
func (r *Registry) tableHosts(t *Tables, registry string, auth *Auth, update func(*http.Client) error) ([]docker.RegistryHost, error) {
	endpoints, err := t.endpoints(registry)
	if err != nil {
		return nil, err
	}
	login := func(host string) (string, string, error) { return t.authFor(host, auth).forHost(host) }
	var hosts []docker.RegistryHost
	for _, u := range endpoints {
		var config *tls.Config
		if own, ok := t.TLS[u.Host]; ok {
			if config, err = own.config(); err != nil {
				return nil, err
			}
		}
		client := &http.Client{Transport: docker.DefaultHTTPTransport(config)}
		if err := update(client); err != nil {
			return nil, err
		}
		path := u.Path
		if path == "" {
			path = "/v2"
		}
		hosts = append(hosts, docker.RegistryHost{
			Client: client, Host: u.Host, Scheme: u.Scheme, Path: path,
			Authorizer: docker.NewDockerAuthorizer(docker.WithAuthClient(client),
				docker.WithAuthCreds(login),
				docker.WithAuthHeader(http.Header{"User-Agent": {r.userAgent}})),
			Capabilities: docker.HostCapabilityResolve | docker.HostCapabilityPull | docker.HostCapabilityReferrers,
		})
	}
	r.grants.keep(registry, hosts, login)
	return hosts, nil
}

// config reads the files of a TLS table.
func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: t.InsecureSkipVerify} //nolint:gosec // as containerd is configured
	if t.CertFile != "" || t.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read client certificate %q with key %q: %w", t.CertFile, t.KeyFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if t.CAFile != "" {
		return config, addAuthorities(config, t.CAFile)
	}
	return config, nil
}

// addAuthorities makes the CA certificates of a file count beside those of the system.
func addAuthorities(config *tls.Config, file string) error {
	if config.RootCAs == nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return fmt.Errorf("read the system's certificates: %w", err)
		}
		config.RootCAs = pool
	}
	text, err := fsutil.ReadFile(file, maxHostsFile)
	if err != nil {
		return fmt.Errorf("read CA certificates: %w", err)
	}
	config.RootCAs.AppendCertsFromPEM(text)
	return nil
}

// addHeaders puts the headers of the tables before those of hosts.toml. What a
// request must have of its own is left out.
func (t *Tables) addHeaders(hosts []docker.RegistryHost) {
	for i := range hosts {
		merged := t.Headers.Clone()
		if merged == nil {
			return
		}
		merged.Del("Accept")
		for key, values := range hosts[i].Header {
			merged[key] = append(merged[key], values...)
		}
		hosts[i].Header = merged
	}
}
