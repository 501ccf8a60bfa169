package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// maxAuthFile bounds what is read of a file with credentials.
const maxAuthFile = 1 << 20

// Person is whose container tools have credentials: the environment, the home
// directory and the user ID.
type Person struct {
	Getenv func(string) string
	Home   string
	UID    int
}

// authFiles lists the files in which docker, podman, skopeo and buildah keep
// credentials, the first that has some counts: those that the environment names go
// first, and REGISTRY_AUTH_FILE alone counts, as it does for podman.
func (p Person) authFiles() []string {
	if file := p.Getenv("REGISTRY_AUTH_FILE"); file != "" {
		return []string{file}
	}
	var files []string
	add := func(dir string, names ...string) {
		if dir != "" {
			files = append(files, filepath.Join(append([]string{dir}, names...)...))
		}
	}
	add(p.Getenv("DOCKER_CONFIG"), "config.json")
	if dir := p.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add("/run/containers", strconv.Itoa(p.UID), "auth.json")
	}
	if dir := p.Getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(p.Home, ".config", "containers", "auth.json")
	}
	if p.Getenv("DOCKER_CONFIG") == "" {
		add(p.Home, ".docker", "config.json")
	}
	return files
}

// AuthOf returns the credentials that a person's container tools have for a
// repository, or nil. What is wrong with those of another registry does not matter.
func AuthOf(ctx context.Context, p Person, repository reference.Named) (*Auth, error) {
	for _, file := range p.authFiles() {
		found, err := authIn(ctx, file, repository)
		if err != nil {
			return nil, fmt.Errorf("read the credentials for %s in %s: %w", reference.Domain(repository), file, err)
		}
		if found != nil {
			return found, nil
		}
	}
	return nil, nil //nolint:nilnil // anonymous is not an error
}

// authFile is a file as docker and containers-auth.json(5) have it.
type authFile struct {
	Auths       map[string]authEntry `json:"auths"`
	CredsStore  string               `json:"credsStore"`
	CredHelpers map[string]string    `json:"credHelpers"`
}

type authEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
}

// readAuthFile reads a file with credentials. One that is not there has none.
func readAuthFile(file string) (f authFile, err error) {
	text, err := fsutil.ReadFile(file, maxAuthFile)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, errors.New("it is not a file with credentials as docker login and podman login write it") // without what is in it
	}
	return f, nil
}

func authIn(ctx context.Context, file string, repository reference.Named) (*Auth, error) {
	f, err := readAuthFile(file)
	if err != nil {
		return nil, err
	}
	host := reference.Domain(repository)
	for _, name := range hostNames(host) {
		if helper := f.CredHelpers[name]; helper != "" {
			return ask(ctx, helper, host, true)
		}
	}
	entry, known := f.entry(repository)
	if known && entry != (authEntry{}) {
		return entry.read()
	}
	if f.CredsStore != "" {
		return ask(ctx, f.CredsStore, host, known)
	}
	return nil, nil //nolint:nilnil // none for this registry
}

// entry returns the entry of the repository, or of the longest namespace that has one,
// or of the registry.
func (f authFile) entry(repository reference.Named) (authEntry, bool) {
	host := reference.Domain(repository)
	for name := repository.Name(); name != host && name != "."; name = path.Dir(name) {
		if e, ok := f.Auths[name]; ok {
			return e, true
		}
	}
	names := hostNames(host)
	for _, key := range slices.Sorted(maps.Keys(f.Auths)) {
		bare := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
		bare = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(bare, "/"), "/v1"), "/v2")
		if slices.Contains(names, bare) {
			return f.Auths[key], true
		}
	}
	return authEntry{}, false
}

// hostNames are the names under which tools keep the credentials of a registry.
func hostNames(host string) []string {
	if host == "docker.io" {
		return []string{host, "index.docker.io", "registry-1.docker.io", credentials.ServerAddressFromRegistry(host)}
	}
	return []string{host}
}

// read returns what an entry holds. Errors do not repeat any of it.
func (e authEntry) read() (*Auth, error) {
	a := &Auth{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken}
	if e.Auth != "" {
		text, err := base64.StdEncoding.DecodeString(e.Auth)
		user, password, ok := strings.Cut(string(text), ":")
		if err != nil || !ok {
			return nil, errors.New("auth is not user:password in base64; log in again")
		}
		a.Username, a.Password = user, strings.TrimRight(password, "\x00")
	}
	return a, nil
}

// ask asks a credential helper. One that is not installed matters only to a registry
// that the person has logged in to with it.
func ask(ctx context.Context, helper, host string, known bool) (*Auth, error) {
	found, err := credentials.NewNativeStore(helper).Get(ctx, credentials.ServerAddressFromRegistry(host))
	switch {
	case err != nil && !known && strings.Contains(err.Error(), "executable file not found"):
		return nil, nil //nolint:nilnil // it has none for this registry, as far as is known
	case err != nil:
		return nil, fmt.Errorf("ask docker-credential-%s: %w", helper, err)
	case found == auth.EmptyCredential:
		return nil, nil //nolint:nilnil // it has none for this registry
	}
	return &Auth{Username: found.Username, Password: found.Password, IdentityToken: found.RefreshToken}, nil
}
