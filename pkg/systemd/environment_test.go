package systemd

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestEnvironmentOfAUnitIsFoundWhereverItIsSet(t *testing.T) {
	t.Parallel()
	const unit, dropIn = "etc/systemd/system/containerd.service", "etc/systemd/system/containerd.service.d/http-proxy.conf"
	for name, test := range map[string]struct{ files, want map[string]string }{
		"nothing": {map[string]string{"lib/systemd/system/containerd.service": "[Service]\nExecStart=/usr/bin/containerd\nEnvironment=PATH=/bin\n"}, nil},
		"a drop-in, quoted": {
			map[string]string{dropIn: "[Service]\nEnvironment=\"HTTPS_PROXY=http://u:p@proxy:3128\" \"no_proxy=10.0.0.0/8\"\n# Environment=HTTP_PROXY=x\n"},
			map[string]string{"HTTPS_PROXY": "/" + dropIn, "NO_PROXY": "/" + dropIn},
		},
		"the file that the unit names": {
			map[string]string{unit: "[Service]\nEnvironmentFile=-/etc/k3s.env\n", "etc/k3s.env": "export HTTP_PROXY='http://proxy'\nHTTPS_PROXY=\nOTHER=1\n"},
			map[string]string{"HTTP_PROXY": "/etc/k3s.env"},
		},
		"a file that is not there": {map[string]string{unit: "[Service]\nEnvironmentFile=/none\nEnvironment=https_proxy=x\n"}, map[string]string{"HTTPS_PROXY": "/" + unit}},
		"another unit":             {map[string]string{"etc/systemd/system/docker.service.d/p.conf": "Environment=HTTPS_PROXY=x\n"}, nil},
	} {
		root := t.TempDir()
		for path, text := range test.files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := Environment(root, "containerd.service", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"); !maps.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
