package registry

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

func TestCredentialsAreReadFromADockerConfigFile(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	auth := base64.StdEncoding.EncodeToString([]byte("user:" + password))
	good := file(`{"auths": {"registry.example": {"auth": "` + auth + `"}, "https://index.docker.io/v1/": {"identitytoken": "token"}}}`)
	user := Auth{Username: "user", Password: password}
	for _, test := range []struct {
		name, path, image string
		want              Auth
		fails             bool
	}{
		{"none configured", "", "registry.example/app", Auth{}, false},
		{"the registry's", good, "registry.example/app:1", user, false},
		{"another registry", good, "other.example/app", Auth{}, false},
		{"docker.io by its old name", good, "busybox", Auth{IdentityToken: "token"}, false},
		{"a file that is not there yet", filepath.Join(t.TempDir(), "none.json"), "registry.example/app", Auth{}, false},
		{"broken", file(`{"auths": {"registry.example": {"auth": "` + password), "registry.example/app", Auth{}, true},
	} {
		named, err := reference.ParseDockerRef(test.image)
		if err != nil {
			t.Fatal(err)
		}
		got, err := AuthFromFile(test.path, named)
		if (err != nil) != test.fails || err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: error %v", test.name, err)
		}
		if got == nil {
			got = &Auth{}
		}
		if *got != test.want {
			t.Errorf("%s: user %q, password of %d bytes, token of %d", test.name, got.Username, len(got.Password), len(got.IdentityToken))
		}
	}
}
