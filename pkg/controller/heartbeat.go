package controller

import (
	"context"
	"encoding/json"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Heartbeats is the resource by which the admission policy knows that pods are placed.
func Heartbeats() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "imagefit.dev", Version: "v1alpha1", Resource: "heartbeats"}
}

const (
	// heartbeatPause is how often the heartbeat is renewed. The admission policy gates pods
	// for 30 seconds after the last: long enough for another instance to get the lease.
	heartbeatPause = 5 * time.Second
	// heartbeatKey is in the queue of pods for the heartbeat: no pod has this key. So the
	// heartbeat is as late as the pods are, and a controller that does not keep up with
	// them gets no more.
	heartbeatKey = ""
)

// beat has the heartbeat renewed until ctx ends.
func (c *Controller) beat(ctx context.Context) {
	for {
		c.queue.Add(heartbeatKey)
		select {
		case <-ctx.Done():
			return
		case <-time.After(heartbeatPause):
		}
	}
}

// renewHeartbeat tells the admission policy that pods are placed.
func (c *Controller) renewHeartbeat(ctx context.Context) {
	heartbeats := c.options.Dynamic.Resource(Heartbeats())
	spec := map[string]any{"renewTime": time.Now().UTC().Format(metav1.RFC3339Micro)}
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err == nil {
		_, err = heartbeats.Patch(ctx, Program, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: Program})
	}
	if apierrors.IsNotFound(err) {
		_, err = heartbeats.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": Heartbeats().GroupVersion().String(), "kind": "Heartbeat",
			"metadata": map[string]any{"name": Program}, "spec": spec,
		}}, metav1.CreateOptions{FieldManager: Program})
	}
	if err != nil && ctx.Err() == nil {
		c.log.Error("cannot renew the heartbeat: without it, new pods are not gated", "error", err)
	}
}
