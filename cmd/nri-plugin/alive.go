package main

import (
	"context"
	"fmt"

	"github.com/containerd/nri/pkg/api"

	"github.com/imagefit/imagefit/pkg/admission"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// nobody is the id of an image that no node has.
const nobody = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// alive asks the plugin about a made-up container, as the runtime does about real
// ones: it must answer in time. Whether the runtime is there does not count, since the
// plugin comes back to it by itself.
func alive(plugin *admission.Plugin, socket string) systemd.Check {
	return func(ctx context.Context) (string, error) {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_ = plugin.ValidateContainerAdjustment(ctx, &api.ValidateContainerAdjustmentRequest{
				Pod: &api.PodSandbox{}, Container: &api.Container{Image: &api.Image{ConfigDigest: nobody}},
			}) // A refusal is an answer, too.
		}()
		select {
		case <-answered:
		case <-ctx.Done():
			return "", fmt.Errorf("ask about a made-up container: no answer: %w", ctx.Err())
		}
		if plugin.Connected() {
			return "connected to the runtime at " + socket, nil
		}
		return "waiting for the runtime at " + socket, nil
	}
}
