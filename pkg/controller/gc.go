package controller

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// gcPause is how often unused node classes are looked for.
	gcPause = 10 * time.Minute
	// gcAge is how old an unused class must be: a node has its class made before its label.
	gcAge = time.Hour
)

// unusedClass is a NodeClass that no node has.
type unusedClass struct {
	name string
	uid  types.UID
}

// collect deletes the node classes that no node has any more, until ctx ends.
func (c *Controller) collect(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(gcPause):
		}
		for _, unused := range c.nodes.unused(time.Now().Add(-gcAge)) {
			err := c.options.Dynamic.Resource(NodeClasses()).Delete(ctx, unused.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &unused.uid}})
			switch {
			case err == nil:
				c.log.Info("deleted a node class that no node has", "class", unused.name)
			case !apierrors.IsNotFound(err) && ctx.Err() == nil:
				c.log.Warn("cannot delete a node class that no node has", "class", unused.name, "error", err)
			}
		}
	}
}
