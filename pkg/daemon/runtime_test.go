package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/policy"
)

// named is a runtime that answers little more than its name.
type named string

func (n named) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	if version, ok := reply.(*runtimeapi.VersionResponse); ok {
		version.RuntimeName, version.RuntimeVersion = string(n), "2.4.2"
	}
	return nil
}

func (named) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, io.ErrUnexpectedEOF
}

// learned returns a runtime that has answered, with a folder of verifiers.
func learned(t *testing.T, name named, verifiers ...string) *containerd.Runtime {
	t.Helper()
	dir := t.TempDir()
	for _, verifier := range verifiers {
		if err := os.WriteFile(filepath.Join(dir, verifier), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "config.toml")
	text := "version = 3\n[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '" + dir + "'\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runtime := containerd.NewRuntime(file, name, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- runtime.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); runtime.Settings().Name == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the runtime did not answer")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return runtime
}

func TestPullsStayUnchangedWhereVariantsWouldNotVerify(t *testing.T) {
	t.Parallel()
	forward, choose := policy.Answers{ImageVerifier: policy.Forward}, policy.Answers{ImageVerifier: policy.Select}
	const ref, short = "registry.example/app:1", "app:1"
	for _, test := range []struct {
		name      string
		runtime   *containerd.Runtime
		keeper    string
		reference string
		policy    policy.Answers
		reason    string
		cases     string
	}{
		{"nothing in the way", learned(t, "containerd"), config.Auto, ref, forward, "", "[]"},
		{"a short name on containerd", learned(t, "containerd"), config.Auto, short, forward, "", "[]"},
		{"a verifier", learned(t, "containerd", "cosign"), config.Auto, ref, forward, "the runtime verifies images (cosign)", "[image_verifier=forward]"},
		{"a verifier, and the index is not known to be signed", learned(t, "containerd", "cosign"), config.Auto, ref, policy.Answers{ImageVerifier: policy.Signed}, "the runtime verifies images (cosign)", "[image_verifier=signed]"},
		{"a verifier, but policy says select", learned(t, "containerd", "cosign"), config.Auto, ref, choose, "", "[]"},
		{"a runtime without image records", learned(t, "cri-o"), config.Auto, ref, choose, "", "[]"},
		{"where it is to keep names", learned(t, "cri-o"), config.ByRuntime, ref, choose, "runtime cri-o has no image records", "[]"},
		{"a short name", learned(t, "cri-o"), config.Auto, short, choose, "runtime cri-o does not resolve the short name app:1", "[]"},
		{"a short name with a path", learned(t, "cri-o"), config.Auto, "team/app:1", choose, "runtime cri-o does not resolve the short name team/app:1", "[]"},
	} {
		cfg := config.Default()
		cfg.Proxy.Names = test.keeper
		reason, cases := daemonOf(t, cfg).Unchanged(test.runtime)(test.reference, "default", test.policy)
		if !strings.HasPrefix(reason, test.reason) || (reason == "") != (test.reason == "") || fmt.Sprint(cases) != test.cases {
			t.Errorf("%s: %q in cases %v", test.name, reason, cases)
		}
	}
}

func daemonOf(t *testing.T, cfg config.Config) *Daemon {
	t.Helper()
	cfg.StateDir, cfg.Facts.Root, cfg.Runtime.Config = t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "none.toml")
	d, err := Open(t.Context(), Options{Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTagsAreKeptByTheProxyWhereOthersMayReadTheRecords puts a mirror on the node.
func TestTagsAreKeptByTheProxyWhereOthersMayReadTheRecords(t *testing.T) {
	t.Parallel()
	certs := t.TempDir()
	hosts := func(registry, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(certs, registry), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(certs, registry, "hosts.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hosts("registry.example", `[host."https://mirror.example"]`)
	hosts("127.0.0.1:5000", `[host."http://127.0.0.1:5000"]`) // a registry, and no mirror of another
	hosts("localhost:5001", `[host."http://127.0.0.1:5001"]`) // the same by another name
	hosts("kind.localhost:5002", `[host."http://kind-registry:5000"]`)
	cfg := config.Default()
	cfg.Registry.ConfigPath = certs
	d := daemonOf(t, cfg)
	runtime := learned(t, "containerd")
	reg := d.Registry(runtime)
	defer reg.Close()
	want := func(keeps bool, why string) {
		t.Helper()
		if got, reason := d.KeepsNames(runtime, reg)(); got != keeps || !strings.Contains(reason, why) {
			t.Errorf("%t: %s, want %t: %s", got, reason, keeps, why)
		}
	}
	want(false, "no registry has a mirror on this node")
	hosts("_default", `[host."http://127.0.0.1:30020"]
capabilities = ["pull", "resolve"]`)
	want(true, "the mirror 127.0.0.1:30020 of all registries is on this node")
	hosts("_default", `[host."https://127.0.0.2:6443/v2"]
override_path = true`)
	want(true, "the mirror 127.0.0.2:6443 of all registries")
	hosts("_default", `[host."http://localhost:30020"]`)
	want(true, "the mirror localhost:30020")
	hosts("_default", "[host.\"http://\"]\nnonsense")
	want(false, "")
	hosts("docker.io", `server = "https://registry-1.docker.io"
[host."http://[::1]:30020"]`)
	want(true, "the mirror [::1]:30020 of docker.io")
	cfg.Proxy.Names = config.ByRuntime
	d.settings.Store(&settings{config: cfg, rules: d.Rules()})
	want(false, "proxy.names")
	cfg.Proxy.Names = config.ByProxy
	d.settings.Store(&settings{config: cfg, rules: d.Rules()})
	want(true, "proxy.names")
	cfg.Proxy.Names = config.Auto
	d.settings.Store(&settings{config: cfg, rules: d.Rules()})
	runtime = learned(t, "cri-o")
	want(true, "runtime cri-o has no image records")
}

// TestRulesAreRenewedWhenTheRuntimeChanges: decisions are remembered by the rules
// that they were made under, and depend on the settings of the runtime.
func TestRulesAreRenewedWhenTheRuntimeChanges(t *testing.T) {
	t.Parallel()
	d := daemonOf(t, config.Default())
	runtime := d.Runtime(named("containerd"))
	reg := d.Registry(runtime)
	defer reg.Close()
	before := d.Rules()
	runtime.Changed(containerd.Settings{CheckPlatform: true})
	if after := d.Rules(); after == before || !reflect.DeepEqual(after, before) {
		t.Errorf("the same rules: %t; before %+v, after %+v", after == before, before, after)
	}
}
