package admission

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
)

func TestConnectedFollowsTheRegistration(t *testing.T) {
	t.Parallel()
	runtime := startNRI(t, "v2.4.2")
	socket := filepath.Join(t.TempDir(), "nri.sock")
	log := new(testkit.Log)
	p := newTestPlugin(newKnownImages(t), policyWith(nil), log.Logger())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, p, Socket{Path: socket, PluginName: "imagefit", PluginIndex: "10"}, log.Logger())
	}()
	await := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); p.Connected() != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("connected: %t", !want)
			}
		}
	}
	if p.Connected() {
		t.Error("connected without a runtime")
	}
	for range 2 {
		runtime.listen(socket)
		runtime.synchronized()
		await(true)
		runtime.die()
		await(false)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
