package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	introspectionapi "github.com/containerd/containerd/api/services/introspection/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/containerd"
)

// startRuntime starts a containerd; with -short there is no older one.
func startRuntime(t *testing.T, options stack.Options) *stack.Containerd {
	t.Helper()
	if testing.Short() && options.Version != "" && options.Version != stack.Versions()[0] {
		t.Skip("-short: one version of containerd only")
	}
	return startContainerd(t, options)
}

// runtimeSettings are read of a containerd's configuration and of what it says.
func runtimeSettings(t testing.TB, c *stack.Containerd) containerd.Settings {
	t.Helper()
	file, err := containerd.Read(filepath.Join(c.Dir, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	version, err := c.CRI.Runtime.Version(t.Context(), &runtimeapi.VersionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	status, err := c.CRI.Runtime.Status(t.Context(), &runtimeapi.StatusRequest{Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	told := containerd.Report{Name: version.GetRuntimeName(), Version: version.GetRuntimeVersion(), Info: status.GetInfo(), Exports: exports(t, c)}
	settings, err := file.With(told)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// exports are those of CRI's plugin for images, of which 1.7 has none.
func exports(t testing.TB, c *stack.Containerd) map[string]string {
	t.Helper()
	plugins, err := introspectionapi.NewIntrospectionClient(c.CRI.Conn()).Plugins(t.Context(), &introspectionapi.PluginsRequest{
		Filters: []string{"type==" + containerd.ImagesPluginType + ",id==" + containerd.ImagesPluginID},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, plugin := range plugins.GetPlugins() {
		return plugin.GetExports()
	}
	return nil
}

// TestRuntimeConfigIsMergedAsContainerdMergesIt: what pkg/containerd makes of its test files is what
// containerd makes of them: it can print its configuration with all imports
// merged and all old keys moved.
func TestRuntimeConfigIsMergedAsContainerdMergesIt(t *testing.T) {
	requireStack(t)
	fixtures, err := filepath.Glob("../pkg/containerd/testdata/*/config.toml")
	if err != nil || len(fixtures) == 0 {
		t.Fatalf("%d fixtures, error %v", len(fixtures), err)
	}
	imports := regexp.MustCompile(`(?m)^imports = .*$`)
	for _, fixture := range fixtures {
		name := filepath.Base(filepath.Dir(fixture))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, ourErr := containerd.Read(fixture)
			program := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("IMAGEFIT_PEERS"), "containerd"), "--config", fixture, "config", "dump")
			dump, err := program.Output()
			switch name {
			case "odd":
				t.Skipf("containerd itself does not get over it: %v", err)
			case "missing-import":
				t.Skip("containerd prints it all the same, though it does not start with it")
			}
			if (ourErr != nil) != (err != nil) {
				t.Fatalf("we say %v, containerd says %v", ourErr, err)
			}
			if err != nil {
				return
			}
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, imports.ReplaceAll(dump, nil), 0o600); err != nil {
				t.Fatal(err)
			}
			theirs, err := containerd.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			ours.Files, theirs.Files = nil, nil
			if len(ours.Unpack) == 0 { // the dump leaves an empty list out
				ours.Unpack = theirs.Unpack
			}
			// The dump has all defaults of NRI, so what it says of that is compared by its meaning.
			_, oursOff := ours.NRI()
			_, theirsOff := theirs.NRI()
			if got, want := exported(t, ours), exported(t, theirs); got != want || oursOff != theirsOff {
				t.Errorf("ours   %s, NRI off %t\ntheirs %s, NRI off %t", got, oursOff, want, theirsOff)
			}
		})
	}
}

// exported are the exported fields of settings.
func exported(t *testing.T, s containerd.Settings) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestHostsPathIsWhereContainerdLooks: the folder that is read of the configuration is where
// containerd looks for hosts.toml, also when a drop-in moves it.
func TestHostsPathIsWhereContainerdLooks(t *testing.T) {
	moved := t.TempDir()
	type test struct {
		name, want string
		options    stack.Options
		told       bool // by the running containerd
	}
	tests := []test{
		{"drop-in", moved, stack.Options{DropIn: fmt.Sprintf("version = 3\n[plugins.%q.registry]\nconfig_path = %q\n", "io.containerd.cri.v1.images", moved)}, true},
	}
	for _, version := range stack.Versions() {
		tests = append(tests, test{version, "", stack.Options{Version: version}, version < stack.Containerd20 || version >= stack.Containerd24})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, registry := startRuntime(t, tt.options), startRegistry(t)
			if tt.want == "" {
				tt.want = c.CertsDir
			}
			settings := runtimeSettings(t, c)
			if settings.HostsPath != tt.want || settings.HostsKnown != tt.told {
				t.Fatalf("hosts path %q, known %t; want %q, %t", settings.HostsPath, settings.HostsKnown, tt.want, tt.told)
			}
			if _, err := registry.Repo("app").PushImage(t.Context(), "1", stack.Image{Variant: "app"}); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(settings.HostsPath, "registry.test")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			hosts := fmt.Sprintf("server = \"http://%s\"\n", registry.Host)
			if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(hosts), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := c.CRI.Pull(t.Context(), "registry.test/app:1", stack.PullOptions{}); err != nil {
				t.Errorf("containerd does not look there: %v", err)
			}
		})
	}
}

const (
	imagesTable   = `[plugins."io.containerd.cri.v1.images"]` + "\n"
	transferTable = `[plugins."io.containerd.transfer.v1.local"]` + "\n"
	localPull     = "version = 3\n" + imagesTable + "use_local_image_pull = true\n"
)

// TestVerifiersAreFoundWhereContainerdCallsThem: containerd asks the verifiers that Verifiers finds, shows
// them what is pulled, the index or a variant of it, and lets them refuse.
func TestVerifiersAreFoundWhereContainerdCallsThem(t *testing.T) {
	type test struct {
		name    string
		options stack.Options
		asked   bool
	}
	tests := []test{{"past the transfer service", stack.Options{DropIn: localPull}, false}}
	for _, version := range stack.Versions() {
		tests = append(tests, test{version, stack.Options{Version: version}, version >= stack.Containerd21})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, registry := startRuntime(t, tt.options), startRegistry(t)
			settings := runtimeSettings(t, c)
			log := filepath.Join(c.Dir, "asked")
			dir := filepath.Join(c.Dir, "verifiers")
			if names, err := settings.Verifiers(); err != nil || len(names) > 0 {
				t.Fatalf("verifiers %v, error %v; there is no folder yet", names, err)
			}
			script := fmt.Sprintf("#!/bin/sh\necho \"$1 $2 $3 $4\" >>%s\ncase $2 in */bad*) echo not signed; exit 1;; esac\n", log)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "signed"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			repo := registry.Repo("app")
			index, manifests, err := repo.PushIndex(t.Context(), "1", variants("amd64", "amd64/v3")...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := registry.Repo("bad").PushImage(t.Context(), "1", stack.Image{Variant: "bad"}); err != nil {
				t.Fatal(err)
			}
			variant := repo.DigestRef(manifests[1])
			for _, ref := range []string{repo.Ref("1"), variant} {
				if _, err := c.CRI.Pull(t.Context(), ref, stack.PullOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			_, refused := c.CRI.Pull(t.Context(), registry.Repo("bad").Ref("1"), stack.PullOptions{})

			names, err := settings.Verifiers()
			if err != nil || (len(names) > 0) != tt.asked {
				t.Errorf("verifiers %v, error %v; want some: %t", names, err, tt.asked)
			}
			if (refused != nil) != tt.asked || tt.asked && !strings.Contains(refused.Error(), "verifier signed rejected image (exit code 1): not signed") {
				t.Errorf("the pull of a bad image ends with %v", refused)
			}
			text, _ := os.ReadFile(log) // missing if no verifier was called
			want := fmt.Sprintf("-name %s -digest %s\n-name %s -digest %s\n", repo.Ref("1"), index.Digest, variant, manifests[1].Digest)
			if got := string(text); tt.asked && !strings.HasPrefix(got, want) || !tt.asked && got != "" {
				t.Errorf("the verifier was asked\n%s, want\n%s", got, want)
			}
		})
	}
}
