package admission

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit"
)

// TestReadyIsRegisteredSynchronizedAndInTime, and not lost again and again.
func TestReadyIsRegisteredSynchronizedAndInTime(t *testing.T) {
	t.Parallel()
	images := newKnownImages(t)
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlugin(images, policyWith(nil), slog.New(slog.DiscardHandler))
		want := func(want string) {
			t.Helper()
			if got := text(p.Ready()); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("ready: %q, want %q", got, want)
			}
		}
		connect := func() {
			t.Helper()
			p.state.register()
			if _, err := p.Synchronize(t.Context(), nil, nil); err != nil {
				t.Error(err)
			}
		}
		want("not registered")
		p.state.register()
		want("has not synchronized")
		if p.Connected() {
			t.Error("connected before it is synchronized")
		}
		connect()
		want("")
		p.Resolve = func(context.Context, string) (*runtimeapi.Image, error) {
			time.Sleep(2 * hookLimit)
			want("a hook has been running for 2s")
			return &runtimeapi.Image{Id: imageIDOf("fits")}, nil
		}
		slow := container("", imageName, "registry.example/app:1")
		if _, _, err := p.CreateContainer(t.Context(), nil, slow); err != nil {
			t.Error(err)
		}
		want("the last hook took 2s")
		create(t, p, "fits")
		want("")
		for range maxLosses {
			p.state.end(true)
			want("not registered")
			time.Sleep(time.Second)
			connect()
		}
		want("the runtime closed the connection 3 times in 3s")
		time.Sleep(lossWindow)
		want("")
		p.state.end(false)
		connect()
		want("")
		if connected, lost := p.Sessions(); connected != maxLosses+2 || lost != maxLosses {
			t.Errorf("%d sessions, %d lost", connected, lost)
		}
	})
}

// TestRestartsOfTheRuntimeAreCountedAsLost, and a stop of the plugin is not.
func TestRestartsOfTheRuntimeAreCountedAsLost(t *testing.T) {
	t.Parallel()
	r := startNRI(t, "v2.4.2")
	socket := filepath.Join(t.TempDir(), "nri.sock")
	p := newTestPlugin(newKnownImages(t), policyWith(nil), new(testkit.Log).Logger())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, p, Socket{Path: socket, PluginName: "imagefit", PluginIndex: "10"}, new(testkit.Log).Logger())
	}()
	r.listen(socket)
	r.synchronized()
	r.die()
	await(t, "the loss is noticed", func() bool { return !p.Connected() })
	r.listen(socket)
	r.synchronized()
	await(t, "it is connected again", p.Connected)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if connected, lost := p.Sessions(); connected != 2 || lost != 1 {
		t.Errorf("%d sessions, %d lost", connected, lost)
	}
}
