package containerd

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/registry"
)

// fixture reads a configuration of testdata; its file names come without the folder.
func fixture(t testing.TB, name string) (Settings, error) {
	t.Helper()
	dir := filepath.Join("testdata", name)
	s, err := Read(filepath.Join(dir, "config.toml"))
	for i, file := range s.Files {
		s.Files[i], _ = filepath.Rel(dir, file)
	}
	return s, err
}

// TestReadMeansWhatContainerdMakesOfAFile: integration/runtime_config_test.go compares the same files with
// what containerd itself makes of them.
func TestReadMeansWhatContainerdMakesOfAFile(t *testing.T) {
	t.Parallel()
	none := map[string]string{}
	devmapper := map[string]string{"kata": "devmapper"}
	tests := []struct {
		name string
		want func(*Settings)
	}{
		{"version1", func(s *Settings) { s.HostsPath = "/etc/containerd/certs.d" }},
		{"version2", func(s *Settings) {
			s.Snapshotter, s.HostsPath = "native", "/etc/containerd/certs.d:/usr/share/certs.d"
			s.LocalPull, s.CheckPlatform, s.RuntimeSnapshotters = true, true, devmapper
		}},
		{"version3", func(s *Settings) {
			s.HostsPath, s.CheckPlatform, s.VerifierDir, s.MaxVerifiers = "/srv/hosts", true, "/srv/verifiers", -1
			s.VerifierTimeout = 3 * time.Second
			s.Unpack = []Unpack{{"linux/amd64/v4", "overlayfs"}, {"linux/arm64", "native"}}
			s.RuntimeSnapshotters, s.PullSnapshotters = devmapper, devmapper
		}},
		{"version4", func(s *Settings) { s.HostsPath, s.LocalPull = "/srv/hosts", true }},
		{"old-tables", func(s *Settings) {
			s.Snapshotter, s.HostsPath = "native", "/old"
			s.RuntimeSnapshotters = map[string]string{"kata": "new"}
		}},
		{"inline", func(s *Settings) {
			s.InlineRegistry, s.LocalPull = []string{"mirrors", "configs", "auths"}, true
			s.Registry = registry.Tables{
				Replace: true, Mirrors: map[string][]string{"registry.example": {"https://mirror.example"}},
				Auths:   map[string]registry.Auth{"registry.example": {Auth: "c2VjcmV0LW9mLWF1dGhz"}}, // auths override configs
				Headers: http.Header{"X-Meta": {"secret-of-headers"}},
			}
		}},
		{"disabled", func(s *Settings) { s.VerifierDir = "" }},
		{"local-pull", func(s *Settings) { s.LocalPull, s.Unpack = true, []Unpack{} }},
		{"imports", func(s *Settings) {
			s.Files = []string{"config.toml", "conf.d/10-first.toml", "conf.d/20-second.toml", "extra/last.toml", "extra/nested.toml"}
			s.HostsPath, s.Snapshotter, s.Unpack = "/last", "nested", []Unpack{{"linux/amd64", "overlayfs"}}
			s.RuntimeSnapshotters = map[string]string{"kata": "devmapper", "other": "native"}
			s.VerifierDir, s.MaxVerifiers = "/srv/verifiers", 0
		}},
		{"cycle", func(s *Settings) { s.Files, s.HostsPath = []string{"config.toml", "second.toml"}, "/second" }},
		{"odd", func(s *Settings) { s.VerifierDir, s.Unpack = "", []Unpack{{}, {}} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := defaults()
			want.Files, want.RuntimeSnapshotters, want.PullSnapshotters = []string{"config.toml"}, none, none
			tt.want(&want)
			got, err := fixture(t, tt.name)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestSettingsThatTheTransferServiceLacksMakePullsLocal: the settings that make CRI pull past the transfer service.
func TestSettingsThatTheTransferServiceLacksMakePullsLocal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want bool
	}{
		{"", false},
		{"use_local_image_pull = true", true},
		{"use_local_image_pull = false", false},
		{"disable_snapshot_annotations = false", true},
		{"disable_snapshot_annotations = true", false},
		{"discard_unpacked_layers = true", true},
		{"image_pull_with_sync_fs = true", true},
		{"max_concurrent_downloads = 3", false},
		{"max_concurrent_downloads = 4", true},
		{"registry.config_path = '/hosts'", false},
		{"registry.headers.x = ['y']", false},
		{"registry.mirrors.x.endpoint = ['y']", true},
		{"registry.auths.x.username = 'y'", true},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			parsed, err := parse([]byte("version = 3\n[plugins.'io.containerd.cri.v1.images']\n" + tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := parsed.settings().LocalPull; got != tt.want {
				t.Errorf("local pull %t, want %t", got, tt.want)
			}
		})
	}
}

func TestReadOfAMissingFileReturnsTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := Read(filepath.Join(t.TempDir(), "config.toml"))
	if err != nil || !reflect.DeepEqual(got, defaults()) {
		t.Errorf("got %+v, %v; want the defaults", got, err)
	}
}

func TestReadRejectsWhatContainerdRejects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for i := range maxFiles {
		write(fmt.Sprintf("many-%03d.conf", i), "version = 3")
	}
	tests := []struct{ name, path, want string }{
		{"broken", "testdata/broken/config.toml", "testdata/broken/config.toml: row 3, column 28: not valid TOML"},
		{"wrong type", "testdata/wrong-type/config.toml", "row 1, column 11: not valid TOML"},
		{"import that is not there", "testdata/missing-import/config.toml", "not-there.toml: no such file"},
		{"huge", write("huge.toml", "#"+strings.Repeat("x", maxFile)), "larger than 1048576 bytes"},
		{"a folder", dir, "not a regular file"},
		{"many imports", write("many.toml", `imports = ["many-*.conf"]`), "more than 100 files"},
		{"bad glob", write("glob.toml", `imports = ["[*"]`), "syntax error in pattern"},
		{"plugins is no table", write("plugins.toml", `plugins = 3`), "not valid TOML for containerd"},
		{"nested deeply", write("deep.toml", "a = "+strings.Repeat("[", maxFile-4)), "not valid TOML for containerd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Read(tt.path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			if !reflect.DeepEqual(got, defaults()) {
				t.Errorf("beside the error %+v, want the defaults", got)
			}
		})
	}
}

// FuzzParse: whatever the file has, it is read or rejected, and its meaning can be
// described.
func FuzzParse(f *testing.F) {
	seeds, _ := filepath.Glob("testdata/*/*.toml")
	for _, path := range seeds {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		into, err := parse(first)
		if err != nil {
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the file: %v", err)
			}
			return
		}
		if other, err := parse(second); err == nil {
			merge(into.Plugins, other.Plugins)
			into.Disabled = append(into.Disabled, other.Disabled...)
		}
		s := into.settings()
		for _, warning := range s.Warnings() {
			if strings.Contains(warning, "secret-of") {
				t.Errorf("a warning has a credential: %s", warning)
			}
		}
		s.WillUnpack(amd64("v3"))
	})
}
