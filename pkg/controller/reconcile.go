package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

func keyOf(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

// work places pods until the queue is shut down.
func (c *Controller) work(ctx context.Context) {
	for {
		key, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		switch err := c.reconcile(ctx, key); {
		case err == nil:
			c.queue.Forget(key)
		case ctx.Err() == nil:
			c.log.Warn("cannot place the pod, trying again", "pod", key, "error", err)
			c.options.Metrics.Placed(string(failed), 0)
			c.queue.AddRateLimited(key)
		}
		c.queue.Done(key)
	}
}

// reconcile places a pod, or notes when to look at it again.
func (c *Controller) reconcile(ctx context.Context, key string) error {
	if key == heartbeatKey {
		c.renewHeartbeat(ctx)
		return nil
	}
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return nil //nolint:nilerr // no pod has this name
	}
	pod, err := c.pods.Pods(namespace).Get(name)
	if err != nil {
		c.waits.forget(key)
		return nil //nolint:nilerr // it is gone, or has a node
	}
	if !hasGate(pod) {
		c.waits.forget(key)
		return c.refit(ctx, pod)
	}
	since := c.waits.since(key, pod.UID)
	left := c.options.Budget - time.Since(since)
	o, done := c.place(ctx, pod, left <= 0)
	if !done {
		c.queue.AddAfter(key, left)
		return nil
	}
	return c.release(ctx, pod, o, since)
}

// release gives the pod its terms and to the scheduler. Where the API server does not
// accept the terms, it removes the gate alone: a pod must not stay gated.
func (c *Controller) release(ctx context.Context, pod *corev1.Pod, o outcome, since time.Time) error {
	err := c.patch(ctx, pod, o.terms, o.result)
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		c.log.Error("the API server did not accept the affinity, removing the gate alone", "pod", keyOf(pod), "error", err)
		o.result, o.message = rejected, "imagefit: the API server did not accept the affinity of the pod, scheduling it without: "+err.Error()
		err = c.patch(ctx, pod, terms{}, o.result)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		c.queue.AddAfter(keyOf(pod), conflictPause) // until the cache has the other version
		return nil
	case err != nil:
		return err
	}
	took := time.Since(since)
	c.waits.forget(keyOf(pod))
	c.options.Metrics.Placed(string(o.result), took)
	c.log.Info("placed a pod", "pod", keyOf(pod), "result", string(o.result), "required", len(o.terms.required),
		"preferred", len(o.terms.preferred), "message", o.message, "took", took.Round(time.Millisecond))
	c.tell(ctx, pod, o)
	return nil
}

// conflictPause is how long the informer may take to bring the version of a pod that
// another client has written.
const conflictPause = 50 * time.Millisecond

func (c *Controller) patch(ctx context.Context, pod *corev1.Pod, t terms, r result) error {
	body, err := patchOf(pod, t, r)
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: Program})
	return err
}
