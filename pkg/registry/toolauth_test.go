package registry_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/imagefit/imagefit/pkg/registry"
)

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// person has files below a home directory, and an environment.
func person(t *testing.T, files, env map[string]string) (registry.Person, string) {
	t.Helper()
	home := t.TempDir()
	for name, text := range files {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	getenv := func(key string) string {
		value := strings.ReplaceAll(env[key], "HOME", home)
		if key == "XDG_RUNTIME_DIR" && value == "" {
			return filepath.Join(home, "run")
		}
		return value
	}
	return registry.Person{Getenv: getenv, Home: home, UID: 4242}, home
}

func named(t *testing.T, text string) reference.Named {
	t.Helper()
	n, err := reference.ParseDockerRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCredentialsOfContainerTools(t *testing.T) {
	t.Parallel()
	auths := func(pairs ...string) string {
		var all []string
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, `"`+pairs[i]+`": {"auth": "`+encoded(pairs[i+1])+`"}`)
		}
		return `{"auths": {` + strings.Join(all, ",") + `}}`
	}
	const image = "registry.example:5000/team/app:1"
	tests := []struct {
		name       string
		files, env map[string]string
		image      string
		want       string // user:password
		err        string
	}{
		{"nothing", nil, nil, image, "", ""},
		{"docker", map[string]string{".docker/config.json": auths("registry.example:5000", "d:1")}, nil, image, "d:1", ""},
		{"podman", map[string]string{"run/containers/auth.json": auths("registry.example:5000", "p:1")}, nil, image, "p:1", ""},
		{"podman, kept over a reboot", map[string]string{".config/containers/auth.json": auths("registry.example:5000", "c:1")}, nil, image, "c:1", ""},
		{"podman goes first", map[string]string{"run/containers/auth.json": auths("registry.example:5000", "p:1"), ".docker/config.json": auths("registry.example:5000", "d:1")}, nil, image, "p:1", ""},
		{"podman has another registry", map[string]string{"run/containers/auth.json": auths("other.example", "p:1"), ".docker/config.json": auths("registry.example:5000", "d:1")}, nil, image, "d:1", ""},
		{"a named docker goes first", map[string]string{"run/containers/auth.json": auths("registry.example:5000", "p:1"), "x/config.json": auths("registry.example:5000", "x:1")}, map[string]string{"DOCKER_CONFIG": "HOME/x"}, image, "x:1", ""},
		{"REGISTRY_AUTH_FILE", map[string]string{"a.json": auths("registry.example:5000", "a:1"), ".docker/config.json": auths("registry.example:5000", "d:1")}, map[string]string{"REGISTRY_AUTH_FILE": "HOME/a.json"}, image, "a:1", ""},
		{"REGISTRY_AUTH_FILE alone", map[string]string{"a.json": auths("other.example", "a:1"), ".docker/config.json": auths("registry.example:5000", "d:1")}, map[string]string{"REGISTRY_AUTH_FILE": "HOME/a.json"}, image, "", ""},
		{"XDG_CONFIG_HOME", map[string]string{"c/containers/auth.json": auths("registry.example:5000", "c:1")}, map[string]string{"XDG_CONFIG_HOME": "HOME/c"}, image, "c:1", ""},
		{"a namespace", map[string]string{"run/containers/auth.json": auths("registry.example:5000", "p:1", "registry.example:5000/team", "t:1")}, nil, image, "t:1", ""},
		{"another namespace", map[string]string{"run/containers/auth.json": auths("registry.example:5000", "p:1", "registry.example:5000/tea", "t:1")}, nil, image, "p:1", ""},
		{"a repository", map[string]string{"run/containers/auth.json": auths("registry.example:5000/team/app", "r:1", "registry.example:5000/team", "t:1")}, nil, image, "r:1", ""},
		{"docker hub, as docker writes it", map[string]string{".docker/config.json": auths("https://index.docker.io/v1/", "h:1")}, nil, "alpine", "h:1", ""},
		{"docker hub, as podman writes it", map[string]string{"run/containers/auth.json": auths("docker.io", "h:1")}, nil, "alpine", "h:1", ""},
		{"an address of old", map[string]string{".docker/config.json": auths("https://registry.example:5000/v1/", "o:1")}, nil, image, "o:1", ""},
		{"an identity token", map[string]string{".docker/config.json": `{"auths": {"registry.example:5000": {"auth": "` + encoded("<token>:") + `", "identitytoken": "t"}}}`}, nil, image, "<token>:+t", ""},
		{"a helper that is not installed, logged in", map[string]string{".docker/config.json": `{"credsStore": "nowhere", "auths": {"registry.example:5000": {}}}`}, nil, image, "", "docker-credential-nowhere"},
		{"a helper that is not installed, not logged in", map[string]string{".docker/config.json": `{"credsStore": "nowhere", "auths": {"other.example": {}}}`}, nil, image, "", ""},
		{"a helper of another registry", map[string]string{".docker/config.json": `{"credHelpers": {"other.example": "nowhere"}}`}, nil, image, "", ""},
		{"a helper of this registry", map[string]string{"run/containers/auth.json": `{"credHelpers": {"registry.example:5000": "nowhere"}}`}, nil, image, "", "docker-credential-nowhere"},
		{"no base64", map[string]string{".docker/config.json": `{"auths": {"registry.example:5000": {"auth": "s3cr3t!"}}}`}, nil, image, "", "config.json: auth is not user:password"},
		{"no base64, of another", map[string]string{".docker/config.json": `{"auths": {"other.example": {"auth": "s3cr3t!"}}}`}, nil, image, "", ""},
		{"no JSON", map[string]string{".docker/config.json": `s3cr3t`}, nil, image, "", "it is not a file with credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			who, _ := person(t, tt.files, tt.env)
			auth, err := registry.AuthOf(t.Context(), who, named(t, tt.image))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "s3cr3t") {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			got := ""
			if auth != nil {
				if got = auth.Username + ":" + auth.Password; auth.IdentityToken != "" {
					got += "+" + auth.IdentityToken
				}
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// A credential helper for one registry is run for that one alone.
func TestCredentialHelpersPerRegistry(t *testing.T) {
	who, home := person(t, map[string]string{
		"run/containers/auth.json":   `{"credHelpers": {"registry.example:5000": "fake"}}`,
		"bin/docker-credential-fake": "#!/bin/sh\nread host\necho '{\"Username\": \"helped\", \"Secret\": \"'$host'\"}'\n",
	}, nil)
	if err := os.Chmod(filepath.Join(home, "bin/docker-credential-fake"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(home, "bin")+":"+os.Getenv("PATH"))
	for image, want := range map[string]string{"registry.example:5000/a:1": "registry.example:5000", "other.example/a:1": ""} {
		auth, err := registry.AuthOf(t.Context(), who, named(t, image))
		if err != nil || (auth == nil) != (want == "") || auth != nil && (auth.Username != "helped" || auth.Password != want) {
			t.Errorf("%s: %v, %v", image, auth, err)
		}
	}
}
