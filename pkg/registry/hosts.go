package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/distribution/reference"
	"github.com/sirupsen/logrus"
	slogrus "github.com/sirupsen/logrus/hooks/slog"
)

const maxHostsFile = 1 << 20

// hosts reads what hosts.toml says of a registry. It is read again for each
// pull, as containerd does, so that a change applies at once.
//
// ConfigureHosts makes new authorizers on every call, and what they wait for is shared
// with no other pull. What they were granted is, by grants.
func (r *Registry) hosts(registry string, auth *Auth) ([]docker.RegistryHost, error) {
	hosts, _, err := r.hostsOf(registry, nil, auth)
	return hosts, err
}

// hostsOf are the hosts of a repository, with its path at those where it is not its own.
// Without a repository they are those of the registry, of which registries.conf says
// nothing.
func (r *Registry) hostsOf(registry string, repository reference.Named, auth *Auth) ([]docker.RegistryHost, map[string]string, error) {
	bases := map[*http.Client]*http.Transport{}
	update := func(client *http.Client) error {
		base, ok := client.Transport.(*http.Transport)
		if !ok {
			return fmt.Errorf("bound transport: unexpected type %T", client.Transport)
		}
		tune(base)
		bases[client] = base
		client.CheckRedirect = followSame // registry requests bring their own rule
		return nil
	}
	where := r.where.Load()
	var hosts []docker.RegistryHost
	var paths map[string]string
	var err error
	switch containers := where.tables.Containers; {
	case containers != nil && repository != nil:
		hosts, paths, err = r.containersHosts(containers, repository, auth, update)
	case where.tables.Replace && len(where.dirs) == 0:
		hosts, err = r.tableHosts(&where.tables, registry, auth, update)
	default:
		hosts, err = r.fileHosts(where, registry, auth, update)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read registry hosts of %s: %w", registry, err)
	}
	where.tables.addHeaders(hosts)
	r.transports.share(registry, hosts, bases)
	return hosts, paths, nil
}

// fileHosts are the hosts of a registry by its hosts.toml file, if it has one.
func (r *Registry) fileHosts(where *where, registry string, auth *Auth, update func(*http.Client) error) ([]docker.RegistryHost, error) {
	login := func(host string) (string, string, error) { return where.tables.authFor(host, auth).forHost(host) }
	options := config.HostOptions{
		Credentials:    login,
		AuthorizerOpts: []docker.AuthorizerOpt{docker.WithAuthHeader(http.Header{"User-Agent": {r.userAgent}})},
		UpdateClient:   update,
	}
	if len(where.dirs) > 0 {
		options.HostDir = func(host string) (string, error) { return hostDir(where.dirs, host) }
	}
	hosts, err := config.ConfigureHosts(r.quiet(context.Background()), options)(registry)
	if err == nil {
		r.grants.keep(registry, hosts, login)
	}
	return hosts, err
}

// hostDir finds the folder of a registry host: the first root that has one wins.
func hostDir(roots []string, host string) (string, error) {
	for _, root := range roots {
		dir, err := config.HostDirFromRoot(root)(host)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		return dir, checkHostsFile(filepath.Join(dir, "hosts.toml"))
	}
	return "", errdefs.ErrNotFound
}

// checkHostsFile refuses what would be unwise to read whole.
func checkHostsFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxHostsFile:
		return fmt.Errorf("%s has %d bytes: %w", path, info.Size(), ErrTooLarge)
	}
	return nil
}

// newQuietLogger carries containerd's warnings to log. Below that level its
// packages write headers and bodies of requests.
func newQuietLogger(logger *slog.Logger) *log.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.WarnLevel)
	l.AddHook(slogrus.NewHook(logger, nil))
	return logrus.NewEntry(l)
}

func (r *Registry) quiet(ctx context.Context) context.Context {
	return log.WithLogger(ctx, r.logger)
}
