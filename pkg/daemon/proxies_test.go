package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
)

func TestProxyOfTheRuntimeAloneIsLogged(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, unit := range []string{"containerd", "crio"} {
		path := filepath.Join(root, "etc/systemd/system", unit+".service.d", "http-proxy.conf")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("[Service]\nEnvironment=\"HTTPS_PROXY=http://user:hunter2@proxy\" NO_PROXY=10.0.0.0/8\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		endpoint string
		own      map[string]string
		want     int
	}{
		"none here":         {"unix:///run/containerd/containerd.sock", nil, 2},
		"one here":          {"unix:///run/containerd/containerd.sock", map[string]string{"https_proxy": "x"}, 1},
		"both here":         {"unix:///run/crio/crio.sock", map[string]string{"HTTPS_PROXY": "x", "NO_PROXY": "y"}, 0},
		"another's runtime": {"unix:///run/k3s/containerd/containerd.sock", nil, 0},
	} {
		out := new(testkit.Log)
		warnOfProxies(root, test.endpoint, func(key string) string { return test.own[key] }, slog.New(slog.NewTextHandler(out, nil)))
		if got := out.Count("level=WARN"); got != test.want || out.Count("hunter2") > 0 {
			t.Errorf("%s: %d lines, want %d: %s", name, got, test.want, out.String())
		}
	}
}
