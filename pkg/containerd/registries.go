package containerd

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/imagefit/imagefit/pkg/registry"
)

// registryTables is the table registry of CRI's plugin, by the keys that it has in
// the JSON of Status.
type registryTables struct {
	ConfigPath string
	Mirrors    map[string]mirrorTable
	Configs    map[string]configTable
	Auths      map[string]authTable
	Headers    map[string][]string
}

type mirrorTable struct{ Endpoint []string }

type configTable struct {
	Auth *authTable
	TLS  *tlsTable
}

type authTable struct{ Username, Password, Auth, IdentityToken string }

type tlsTable struct {
	CAFile, CertFile, KeyFile string
	Insecure                  bool `json:"insecure_skip_verify"`
}

// registryOfFile reads the table of a configuration file. What has another type
// than containerd expects is left out.
func registryOfFile(t map[string]any) registryTables {
	r := registryTables{
		ConfigPath: text(t, "config_path"),
		Mirrors:    map[string]mirrorTable{}, Configs: map[string]configTable{},
		Auths: map[string]authTable{}, Headers: map[string][]string{},
	}
	for name := range table(t, "mirrors") {
		r.Mirrors[name] = mirrorTable{texts(table(t, "mirrors", name)["endpoint"])}
	}
	for name := range table(t, "configs") {
		var one configTable
		if own := table(t, "configs", name, "auth"); own != nil {
			one.Auth = new(authOfFile(own))
		}
		if own := table(t, "configs", name, "tls"); own != nil {
			one.TLS = &tlsTable{text(own, "ca_file"), text(own, "cert_file"), text(own, "key_file"), own["insecure_skip_verify"] == true}
		}
		r.Configs[name] = one
	}
	for name := range table(t, "auths") {
		r.Auths[name] = authOfFile(table(t, "auths", name))
	}
	for name, values := range table(t, "headers") {
		r.Headers[name] = texts(values)
	}
	return r
}

func authOfFile(t map[string]any) authTable {
	return authTable{text(t, "username"), text(t, "password"), text(t, "auth"), text(t, "identitytoken")}
}

func text(t map[string]any, key string) string {
	value, _ := t[key].(string)
	return value
}

func texts(value any) (all []string) {
	list, _ := value.([]any)
	for _, one := range list {
		if text, ok := one.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// setRegistry puts the tables into the settings, auths by host as containerd does.
func (s *Settings) setRegistry(r registryTables) {
	s.HostsPath, s.InlineRegistry, s.Registry = r.ConfigPath, nil, registry.Tables{}
	for _, inline := range []struct {
		key string
		n   int
	}{{"mirrors", len(r.Mirrors)}, {"configs", len(r.Configs)}, {"auths", len(r.Auths)}} {
		if inline.n > 0 {
			s.InlineRegistry = append(s.InlineRegistry, inline.key)
		}
	}
	s.Registry.Replace = r.ConfigPath == "" && len(r.Mirrors) > 0
	for name, mirror := range r.Mirrors {
		put(&s.Registry.Mirrors, name, mirror.Endpoint)
	}
	for host, config := range r.Configs {
		if t := config.TLS; t != nil {
			put(&s.Registry.TLS, host, registry.TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, InsecureSkipVerify: t.Insecure})
		}
		if config.Auth != nil {
			put(&s.Registry.Auths, host, config.Auth.auth())
		}
	}
	for endpoint, auth := range r.Auths {
		if u, err := url.Parse(endpoint); err == nil && u.Scheme != "" && u.Host != "" {
			endpoint = u.Host
		}
		put(&s.Registry.Auths, endpoint, auth.auth())
	}
	for key, values := range r.Headers {
		put((*map[string][]string)(&s.Registry.Headers), http.CanonicalHeaderKey(key), values)
	}
}

func (a authTable) auth() registry.Auth {
	return registry.Auth{Username: a.Username, Password: a.Password, Auth: a.Auth, IdentityToken: a.IdentityToken}
}

// put makes the map where there is none yet.
func put[V any](into *map[string]V, key string, value V) {
	if *into == nil {
		*into = map[string]V{}
	}
	(*into)[key] = value
}

// rewrites tells whether a containerd applies the rewrite tables of hosts.toml files: that
// of k3s and RKE2, by its version, or by where they keep its configuration.
func rewrites(version string, files []string) bool {
	if version != "" {
		return strings.Contains(version, "-k3s")
	}
	return len(files) > 0 && strings.Contains(files[0], "/rancher/")
}
