package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/selector"
)

// result is what came of placing a pod, as metrics have it.
type result string

const (
	placed    result = "placed"    // affinity was added, or nothing had to be
	noneFit   result = "none_fits" // affinity was added, and no node of the cluster matches it
	undecided result = "undecided" // what an image needs could not be found out
	rejected  result = "rejected"  // the API server did not accept the affinity
	failed    result = "failed"    // the API server could not be reached; the pod is tried again
)

// outcome is what the controller makes of a pod.
type outcome struct {
	terms   terms
	result  result
	message string
}

// place decides where a pod may run. It returns false while the needs of an image are
// looked up, unless the pod has waited for long enough.
func (c *Controller) place(ctx context.Context, pod *corev1.Pod, overdue bool) (o outcome, done bool) {
	hosts := c.nodes.snapshot()
	key := keyOf(pod)
	var found []placement.Row
	var unknown []string
	pending := false
	for _, i := range imagesOf(pod, c.options.PullSecrets) {
		k, ready := c.images.get(ctx, i, key, func() { c.queue.Add(key) })
		err := errLate
		if ready {
			var row placement.Row
			if row, err = c.rowOf(ctx, k, hosts, podOf(pod)); err == nil {
				found = append(found, row)
			}
		}
		pending = pending || !ready
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("%s: %v", i.ref, err))
		}
	}
	if pending && !overdue {
		return outcome{}, false
	}
	fits := fitsOf(hosts.hosts, found)
	c.nodes.count(fits)
	return c.conclude(fits, unknown), true
}

var errLate = errors.New("its registry did not answer in time")

// conclude turns how a pod fits each kind of node into terms and a message. unknown lists
// the images about which nothing could be found out: they rule no node out.
func (c *Controller) conclude(fits []podFit, unknown []string) outcome {
	o := outcome{terms: termsOf(fits, c.options.Strict), result: placed}
	switch none := noneFits(fits); {
	case none != "":
		o.result, o.message = noneFit, none
	case len(unknown) > 0:
		o.result = undecided
		o.message = textutil.Line("imagefit: what the pod needs cannot be found out, scheduling it without: "+strings.Join(unknown, "; "), maxMessage)
	default:
		o.message = o.terms.sentence(fits)
	}
	return o
}

// sentence says what was added to the pod.
func (t terms) sentence(fits []podFit) string {
	excluded, classes := 0, 0
	for _, f := range fits {
		if f.ID == "" {
			continue
		}
		classes++
		if f.Outcome == selector.Unfit {
			excluded++
		}
	}
	var parts []string
	for _, r := range t.required {
		if r.Key != ClassLabel {
			parts = append(parts, fmt.Sprintf("needs %s %s", r.Key, strings.Join(r.Values, " or ")))
		}
	}
	if excluded > 0 {
		parts = append(parts, fmt.Sprintf("does not fit %d of %d node classes", excluded, classes))
	}
	if n := len(t.preferred); n > 0 {
		best := t.preferred[0].Preference.MatchExpressions[0].Values
		parts = append(parts, "runs best on class "+strings.Join(best[:min(len(best), maxNamed)], ", "))
	}
	if len(parts) == 0 {
		parts = []string{"may run on every node as far as is known"}
	}
	return textutil.Line("imagefit: the pod "+strings.Join(parts, ", "), maxMessage)
}
