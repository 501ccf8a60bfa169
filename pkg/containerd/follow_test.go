package containerd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/api/services/introspection/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/crio"
)

// fakeRuntime is a runtime that answers once it is up.
type fakeRuntime struct {
	grpc.ClientConnInterface
	up            atomic.Bool
	name          string
	hosts         atomic.Value
	unimplemented bool // introspection is
	asked         atomic.Int32
}

func (r *fakeRuntime) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	r.asked.Add(1)
	if !r.up.Load() {
		return grpcstatus.Error(codes.Unavailable, "not there")
	}
	switch reply := reply.(type) {
	case *runtimeapi.VersionResponse:
		reply.RuntimeName, reply.RuntimeVersion = r.name, "v2.4.2"
	case *introspection.PluginsResponse:
		if r.unimplemented {
			return grpcstatus.Error(codes.Unimplemented, "unknown service")
		}
		hosts, _ := r.hosts.Load().(string)
		reply.Plugins = []*introspection.Plugin{{Exports: map[string]string{"RegistryConfigPath": hosts}}}
	}
	return nil
}

// sleep lets time pass and waits until nothing runs.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestReportOfTheRuntimeReplacesSettingsOfTheFile has a runtime that starts late and is
// restarted with another configuration.
func TestReportOfTheRuntimeReplacesSettingsOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	text := "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/file'\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		conn := &fakeRuntime{name: "containerd"}
		conn.hosts.Store("/live")
		r := NewRuntime(path, conn, slog.New(slog.NewTextHandler(&log, nil)))
		var seen []string
		r.Changed = func(s Settings) { seen = append(seen, s.HostsPath) }
		if got := r.Settings().HostsPath; got != "/file" {
			t.Errorf("before it answers: %q", got)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		sleep(5 * retryInterval)
		conn.up.Store(true)
		sleep(2 * retryInterval)
		if got := r.Settings().HostsPath; got != "/live" {
			t.Errorf("once it is up: %q", got)
		}
		asked := conn.asked.Load()
		sleep(queryInterval / 2)
		if conn.asked.Load() != asked {
			t.Error("a runtime that answers is queried all the time")
		}
		conn.hosts.Store("/other")
		sleep(queryInterval)
		if got := r.Settings().HostsPath; got != "/other" {
			t.Errorf("after a restart: %q", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := strings.Join(seen, " "); got != "/live /other" {
			t.Errorf("changes %q", got)
		}
		if log.Len() > 0 {
			t.Errorf("log: %s", log.String())
		}
	})
}

func TestRuntimeOtherThanContainerdIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		conn := &fakeRuntime{name: "cri-o", unimplemented: true}
		conn.up.Store(true)
		r := NewRuntime(filepath.Join(t.TempDir(), "none.toml"), conn, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		sleep(5 * queryInterval)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if r.Settings().IsContainerd() || log.Len() > 0 {
			t.Errorf("settings %+v, log %s", r.Settings(), log.String())
		}
	})
}

// TestRuntimeIsKnownBeforeTheFirstCall: whom to ask for an image depends on it.
func TestRuntimeIsKnownBeforeTheFirstCall(t *testing.T) {
	t.Parallel()
	conn := &fakeRuntime{name: "cri-o", unimplemented: true}
	var log bytes.Buffer
	r := NewRuntime(filepath.Join(t.TempDir(), "none.toml"), conn, slog.New(slog.NewTextHandler(&log, nil)))
	r.CRIO = func(context.Context) (crio.Settings, error) {
		return crio.Settings{Policy: "policy.json"}, errors.New("no configuration")
	}
	r.Learn() // while it is not there
	if s := r.Settings(); s.Name != "" || s.CRIO != nil {
		t.Errorf("settings %+v", s)
	}
	conn.up.Store(true)
	r.Learn()
	if s := r.Settings(); s.Name != "cri-o" || s.CRIO == nil || s.CRIO.Policy != "policy.json" {
		t.Errorf("settings %+v", s)
	}
	if !strings.Contains(log.String(), "read the configuration of CRI-O: no configuration") {
		t.Errorf("log: %s", log.String())
	}
}

func TestFileThatBecomesUnreadableChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verifiers := func(dir string) string {
		return "version = 3\n[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '" + dir + "'\n"
	}
	write(verifiers("/first"))
	synctest.Test(t, func(t *testing.T) {
		conn := &fakeRuntime{name: "containerd"}
		conn.up.Store(true)
		r := NewRuntime(path, conn, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		for _, step := range []struct{ name, text, want string }{
			{"as it was", verifiers("/first"), "/first"},
			{"half of it", "version = 3\n[plugins.'io.con", "/first"},
			{"another", verifiers("/second"), "/second"},
		} {
			write(step.text)
			sleep(queryInterval)
			if got := r.Settings().VerifierDir; got != step.want {
				t.Errorf("%s: verifiers in %s, want %s", step.name, got, step.want)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
