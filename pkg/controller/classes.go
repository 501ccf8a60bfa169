package controller

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// NodeClasses is the resource of node classes.
func NodeClasses() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "imagefit.dev", Version: "v1alpha1", Resource: "nodeclasses"}
}

const (
	// classesPause is how often the cluster is asked whether it has a resource by now.
	classesPause = 30 * time.Second
	// classesWait is how long the first pods wait for what is known of the classes.
	classesWait = 5 * time.Second
)

// classWatch follows the NodeClass objects of the cluster.
type classWatch struct {
	synced chan struct{} // closed when they are known, or there are none
	done   sync.WaitGroup
}

// watchClasses follows the node classes until ctx ends. A cluster without the resource
// has none; that is looked at again now and then.
func (c *Controller) watchClasses(ctx context.Context) *classWatch {
	w := &classWatch{synced: make(chan struct{})}
	once := sync.OnceFunc(func() { close(w.synced) })
	w.done.Go(func() {
		if c.awaitResource(ctx, NodeClasses(), once) {
			c.followClasses(ctx, once)
		}
	})
	return w
}

// awaitResource waits until the cluster has a resource, or ctx ends, and reports whether it
// has. It calls missing as long as it has not.
func (c *Controller) awaitResource(ctx context.Context, of schema.GroupVersionResource, missing func()) bool {
	for {
		_, err := c.client.Discovery().ServerResourcesForGroupVersion(of.GroupVersion().String())
		if err == nil {
			return true
		}
		if !apierrors.IsNotFound(err) {
			c.log.Warn("cannot find out whether the cluster has a resource, trying again", "resource", of.GroupResource().String(), "error", err, "every", classesPause)
		}
		missing()
		select {
		case <-ctx.Done():
			return false
		case <-time.After(classesPause):
		}
	}
}

func (c *Controller) followClasses(ctx context.Context, synced func()) {
	factory := dynamicinformer.NewDynamicSharedInformerFactory(c.options.Dynamic, 0)
	informer := factory.ForResource(NodeClasses()).Informer()
	if err := informer.SetTransform(c.stripClass); err != nil { // only where it runs already
		c.log.Error("cannot watch node classes", "error", err)
		synced()
		return
	}
	seen, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.setClass,
		UpdateFunc: func(_, object any) { c.setClass(object) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			if class, ok := object.(*nodeClass); ok {
				c.nodes.removeClass(class.GetName())
			}
		},
	})
	if err != nil {
		c.log.Error("cannot watch node classes", "error", err)
		synced()
		return
	}
	factory.Start(ctx.Done())
	cache.WaitForCacheSync(ctx.Done(), seen.HasSynced)
	synced()
	<-ctx.Done()
	factory.Shutdown()
}

// awaitSync waits for the classes, not for long: without them nodes are evaluated by
// their platform alone.
func (w *classWatch) awaitSync(ctx context.Context) {
	select {
	case <-w.synced:
	case <-ctx.Done():
	case <-time.After(classesWait):
	}
}

// nodeClass is a NodeClass in the informer's cache: its metadata and its facts, nil where
// they cannot be used.
type nodeClass struct {
	unstructured.Unstructured
	known *facts.Facts
}

// stripClass leaves of a NodeClass its name and its facts, read once.
func (c *Controller) stripClass(object any) (any, error) {
	full, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	class := &nodeClass{}
	class.SetName(full.GetName())
	class.SetUID(full.GetUID())
	class.SetResourceVersion(full.GetResourceVersion())
	class.SetCreationTimestamp(full.GetCreationTimestamp())
	known, err := factsOf(full)
	if err != nil {
		c.log.Warn("cannot use a node class; its nodes are evaluated by their platform alone", "class", full.GetName(), "error", err)
	}
	class.known = known
	return class, nil
}

func (c *Controller) setClass(object any) {
	if of, ok := object.(*nodeClass); ok {
		c.nodes.setClass(of.GetName(), class{of.known, of.GetUID(), of.GetCreationTimestamp().Time})
	}
}

// factsOf reads the facts of a NodeClass. Its name must be that of the facts: nodes cannot
// change what other nodes of a class are taken for.
func factsOf(object *unstructured.Unstructured) (*facts.Facts, error) {
	body, found, err := unstructured.NestedMap(object.Object, "spec", "facts")
	if err != nil || !found {
		return nil, errors.New("it has no spec.facts")
	}
	text, err := json.Marshal(map[string]any{"class": object.GetName(), "facts": body})
	if err != nil {
		return nil, err
	}
	var class nodeclass.Class
	if err := json.Unmarshal(text, &class); err != nil {
		return nil, err
	}
	return class.Facts, nil
}
