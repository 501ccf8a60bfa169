package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/selector"
)

// driftPause is the least time between two nodes whose pods are evaluated again, so that
// the upgrade of a whole cluster costs the API server little.
const driftPause = 100 * time.Millisecond

// noteDrift has the pods of a node evaluated again where its class is another one now.
func (c *Controller) noteDrift(node string, before, now nodeKind) {
	if before.class != "" && now.class != "" && before.class != now.class {
		c.drifting.Add(node)
	}
}

// followDrift evaluates the pods of nodes whose class has changed. Nothing that runs is
// ever stopped: the pod gets an event and its condition.
func (c *Controller) followDrift(ctx context.Context) {
	for {
		node, shutdown := c.drifting.Get()
		if shutdown {
			return
		}
		if err := c.reevaluate(ctx, node); err != nil && ctx.Err() == nil {
			c.log.Warn("cannot evaluate the pods of a node again", "node", node, "error", err)
		}
		c.drifting.Done(node)
		select {
		case <-ctx.Done():
		case <-time.After(driftPause):
		}
	}
}

// reevaluate tells the pods of a node that no longer fit it.
func (c *Controller) reevaluate(ctx context.Context, name string) error {
	list, err := c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String(), ResourceVersion: "0",
	})
	if err != nil {
		return err
	}
	kind, known := c.nodes.kindOf(name)
	if !known {
		return nil
	}
	for i := range list.Items {
		pod := &list.Items[i]
		if _, ours := pod.Annotations[placedAnnotation]; !ours || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if reason := c.unfitOn(ctx, pod, kind); reason != "" {
			c.tellDrifted(ctx, pod, textutil.Line(fmt.Sprintf("imagefit: node %s no longer fits: %s", name, reason), maxMessage))
		} else if err := c.tellFits(ctx, pod); err != nil {
			c.log.Warn("cannot set the condition of the pod", "pod", keyOf(pod), "error", err)
		}
	}
	return nil
}

// unfitOn says why a pod does not fit the nodes of a kind, "" where it may.
func (c *Controller) unfitOn(ctx context.Context, pod *corev1.Pod, kind nodeKind) string {
	hosts := c.nodes.snapshot()
	for _, i := range imagesOf(pod, c.options.PullSecrets) {
		k := c.images.await(ctx, i)
		row, err := c.rowOf(ctx, k, hosts, podOf(pod))
		if err != nil {
			continue // unknown: the node decides
		}
		for at, h := range hosts.hosts {
			if v := row.Verdicts[at]; h.is(kind) && v.Outcome == selector.Unfit {
				return v.Reason
			}
		}
	}
	return ""
}

func (c *Controller) tellDrifted(ctx context.Context, pod *corev1.Pod, message string) {
	c.log.Warn("a node no longer fits a pod that it runs", "pod", keyOf(pod), "node", pod.Spec.NodeName, "message", message)
	c.options.Metrics.Drifted()
	c.events.Event(referenceTo(pod), corev1.EventTypeWarning, reasonDrifted, message)
	if err := c.setCondition(ctx, pod, corev1.ConditionFalse, reasonDrifted, message); err != nil {
		c.log.Warn("cannot set the condition of the pod", "pod", keyOf(pod), "error", err)
	}
}
