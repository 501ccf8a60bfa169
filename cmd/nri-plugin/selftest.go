package main

import (
	"context"
	"fmt"

	"github.com/containerd/nri/pkg/api"

	"github.com/imagefit/imagefit/pkg/admission"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// unknownImage is the id of an image that no node has.
const unknownImage = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// selfTest calls the plugin's hook for a made-up container, as the runtime does for
// real ones: it must answer in time. It does not need the runtime, to which the plugin
// reconnects by itself.
func selfTest(plugin *admission.Plugin, socket admission.Socket) systemd.Check {
	var hook chan struct{} // closed when it returns
	return func(ctx context.Context) (string, error) {
		if hook == nil { // else the last one still hangs
			returned := make(chan struct{})
			hook = returned
			go func() {
				defer close(returned)
				_ = plugin.ValidateContainerAdjustment(ctx, &api.ValidateContainerAdjustmentRequest{
					Pod: &api.PodSandbox{}, Container: &api.Container{Image: &api.Image{ConfigDigest: unknownImage}},
				}) // A refusal is an answer, too.
			}()
		}
		select {
		case <-hook:
			hook = nil
		case <-ctx.Done():
			return "", fmt.Errorf("call the hook for a made-up container: no answer: %w", ctx.Err())
		}
		if plugin.Connected() {
			return "connected to the runtime " + socket.String(), nil
		}
		return "waiting for the runtime " + socket.String(), nil
	}
}
