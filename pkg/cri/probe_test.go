package cri_test

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
)

// TestProbeBlamesTheProxyOnlyWhileTheRuntimeAnswers: only a proxy that fails where the runtime does not is to blame.
func TestProbeBlamesTheProxyOnlyWhileTheRuntimeAnswers(t *testing.T) {
	t.Parallel()
	type scene struct {
		runtime, proxy string
		activated      bool
	}
	// silent takes connections and never says a word.
	silent := func(t *testing.T, path string) string {
		t.Helper()
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return path
	}
	runtime := func(t *testing.T, r *critest.Runtime) string {
		t.Helper()
		path := critest.Socket(t)
		critest.Start(t, path, r)
		return path
	}
	proxied := func(t *testing.T, runtime string) scene {
		t.Helper()
		_, path := startProxy(t, runtime)
		return scene{runtime: runtime, proxy: path}
	}
	hung := &critest.Runtime{OnVersion: func(ctx context.Context, _ *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	young := &critest.Runtime{OnVersion: func(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
		return nil, status.Error(codes.Unknown, "server is not initialized yet")
	}}
	for name, c := range map[string]struct {
		scene  func(t *testing.T) scene
		status string // else an error
	}{
		"all well":                {func(t *testing.T) scene { return proxied(t, runtime(t, &critest.Runtime{})) }, "serving fake 2.4.2 on "},
		"the runtime is away":     {func(t *testing.T) scene { return proxied(t, critest.Socket(t)) }, "waiting for the runtime at "},
		"the runtime hangs":       {func(t *testing.T) scene { return proxied(t, runtime(t, hung)) }, "waiting for the runtime at "},
		"the runtime is starting": {func(t *testing.T) scene { return proxied(t, runtime(t, young)) }, "server is not initialized yet"},
		"the proxy is wedged": {func(t *testing.T) scene {
			return scene{runtime: runtime(t, &critest.Runtime{}), proxy: silent(t, critest.Socket(t))}
		}, ""},
		"both are": {func(t *testing.T) scene {
			return scene{runtime: silent(t, critest.Socket(t)), proxy: silent(t, critest.Socket(t))}
		}, "waiting for the runtime at "},
		"the socket is gone": {func(t *testing.T) scene {
			s := proxied(t, runtime(t, &critest.Runtime{}))
			if err := os.Remove(s.proxy); err != nil {
				t.Fatal(err)
			}
			return s
		}, ""},
		"the socket of the service manager is gone": {func(t *testing.T) scene {
			return scene{runtime: runtime(t, &critest.Runtime{}), proxy: critest.Socket(t), activated: true}
		}, "restart the socket unit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.scene(t)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			got, err := cri.Probe{Socket: s.proxy, Runtime: s.runtime, Activated: s.activated}.Check(ctx)
			if (err == nil) != (c.status != "") || !strings.Contains(got, c.status) {
				t.Errorf("got %q, %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), s.proxy) || !strings.Contains(err.Error(), s.runtime)) {
				t.Errorf("the error does not name both sockets: %v", err)
			}
		})
	}
}
