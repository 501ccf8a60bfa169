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
	for _, test := range []struct {
		name    string
		runtime *containerd.Runtime
		policy  policy.Answers
		reason  string
		cases   string
	}{
		{"nothing in the way", learned(t, "containerd"), forward, "", "[]"},
		{"a verifier", learned(t, "containerd", "cosign"), forward, "the runtime verifies images (cosign)", "[image_verifier=forward]"},
		{"a verifier, but policy says select", learned(t, "containerd", "cosign"), choose, "", "[]"},
		{"a runtime without image records", learned(t, "cri-o"), choose, "runtime cri-o has no image records", "[]"},
	} {
		reason, cases := Unchanged(test.runtime, slog.New(slog.DiscardHandler))(test.policy)
		if !strings.HasPrefix(reason, test.reason) || (reason == "") != (test.reason == "") || fmt.Sprint(cases) != test.cases {
			t.Errorf("%s: %q in cases %v", test.name, reason, cases)
		}
	}
}

// TestRulesAreRenewedWhenTheRuntimeChanges: decisions are remembered by the rules
// that they were made under, and depend on the settings of the runtime.
func TestRulesAreRenewedWhenTheRuntimeChanges(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.StateDir, cfg.Facts.Root, cfg.Runtime.Config = t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "none.toml")
	d, err := Open(t.Context(), Options{Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	runtime := d.Runtime(named("containerd"))
	reg := d.Registry(runtime)
	defer reg.Close()
	before := d.Rules()
	runtime.Changed(containerd.Settings{CheckPlatform: true})
	if after := d.Rules(); after == before || !reflect.DeepEqual(after, before) {
		t.Errorf("the same rules: %t; before %+v, after %+v", after == before, before, after)
	}
}
