package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// refitPause is how long changes of the cluster are collected before the pods that no node
// fitted are evaluated again.
const refitPause = time.Second

// settleTries bounds how often a pod that has a node is looked at again.
const settleTries = 10

// fitsNowhere reports whether no node fitted the pod when it was placed.
func fitsNowhere(pod *corev1.Pod) bool { return pod.Annotations[placedAnnotation] == string(noneFit) }

// conditionOf returns the pod's condition, nil where it has none.
func conditionOf(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == Condition {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// followCluster evaluates the pods that wait for a node again when there are other kinds
// of nodes, until ctx ends.
func (c *Controller) followCluster(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.nodes.changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(refitPause):
		}
		pods, err := c.pods.List(labels.Everything())
		if err != nil {
			c.log.Error("cannot list the pods that wait for a node", "error", err)
			continue
		}
		for _, pod := range pods {
			if fitsNowhere(pod) {
				c.queue.Add(keyOf(pod))
			}
		}
	}
}

// refit renews the condition of a pod that waits for a node. Its affinity stays: the API
// server would not accept another one.
func (c *Controller) refit(ctx context.Context, pod *corev1.Pod) error {
	if !fitsNowhere(pod) {
		return nil
	}
	o, done := c.place(ctx, pod, false)
	now := conditionOf(pod)
	switch {
	case !done || now == nil:
		return nil
	case o.result == placed && now.Status == corev1.ConditionFalse:
		return c.setCondition(ctx, pod, corev1.ConditionTrue, reasonPlaced, "imagefit: a node of the cluster fits now")
	case o.result == noneFit && now.Status == corev1.ConditionTrue:
		return c.setCondition(ctx, pod, corev1.ConditionFalse, reasonNoneFits, o.message)
	}
	return nil
}

// followBound renews the condition of pods that no node fitted once they have one, until
// the controller ends.
func (c *Controller) followBound(ctx context.Context) {
	for {
		key, shutdown := c.bound.Get()
		if shutdown {
			return
		}
		err := c.settle(ctx, key)
		switch {
		case err == nil:
			c.bound.Forget(key)
		case c.bound.NumRequeues(key) < settleTries:
			c.bound.AddRateLimited(key)
		case ctx.Err() == nil:
			c.bound.Forget(key)
			c.log.Warn("cannot renew the condition of a pod that has a node now", "pod", key, "error", err)
		}
		c.bound.Done(key)
	}
}

// settle sets the condition of a pod that has a node, if that fits.
func (c *Controller) settle(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	list, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String(),
	})
	if err != nil {
		return err
	}
	for i := range list.Items { // none where it was deleted
		pod := &list.Items[i]
		if pod.Spec.NodeName == "" {
			continue // another pod of this name
		}
		kind, known := c.nodes.kindOf(pod.Spec.NodeName)
		if !known { // it has joined a moment ago
			return fmt.Errorf("node %s is not known yet", pod.Spec.NodeName)
		}
		if c.unfitOn(ctx, pod, kind) == "" {
			return c.tellFits(ctx, pod)
		}
	}
	return nil
}

// tellFits sets the condition of a pod that fits its node, where it tells something else.
func (c *Controller) tellFits(ctx context.Context, pod *corev1.Pod) error {
	if now := conditionOf(pod); now == nil || now.Status != corev1.ConditionFalse {
		return nil
	}
	return c.setCondition(ctx, pod, corev1.ConditionTrue, reasonPlaced, fmt.Sprintf("imagefit: the pod fits node %s", pod.Spec.NodeName))
}
