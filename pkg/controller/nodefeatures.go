package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unique"

	lru "github.com/hashicorp/golang-lru/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/nodefeature"
)

// NodeFeatures is the resource in which NFD tells the features of nodes.
func NodeFeatures() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "nfd.k8s-sigs.io", Version: "v1alpha1", Resource: "nodefeatures"}
}

const (
	// classifiers are the nodes that are labelled at the same time.
	classifiers = 4
	// maxFeatureKinds bounds the kinds of features whose class is kept.
	maxFeatureKinds = 1024
	byNode          = "node"
)

// classifier labels nodes with their class by what NFD tells of them.
type classifier struct {
	*Controller

	changed  workqueue.TypedRateLimitingInterface[string] // nodes
	informer cache.SharedIndexInformer
	classes  *lru.Cache[string, nodeclass.Class] // by architecture and features
}

func newClassifier(c *Controller) *classifier {
	classes, _ := lru.New[string, nodeclass.Class](maxFeatureKinds) // fails for sizes below 1 only
	return &classifier{
		Controller: c, classes: classes,
		changed: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, 5*time.Minute)),
	}
}

// feature is a NodeFeature in the informer's cache. Nodes that are alike share the text of
// their features.
type feature struct {
	unstructured.Unstructured
	node     string
	features unique.Handle[string]
}

// stripFeature leaves of a NodeFeature what classes have.
func stripFeature(object any) (any, error) {
	full, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	var read nodefeature.Object
	text, err := full.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		read.Spec.Features = nil // of an object that NFD cannot read either
	}
	read.Trim(nil)
	features, err := json.Marshal(read.Spec.Features)
	if err != nil {
		return nil, err
	}
	f := &feature{node: read.Node(), features: unique.Make(string(features))}
	f.SetName(full.GetName())
	f.SetNamespace(full.GetNamespace())
	f.SetUID(full.GetUID())
	f.SetResourceVersion(full.GetResourceVersion())
	return f, nil
}

// run labels nodes until ctx ends, once the cluster has NodeFeature objects.
func (l *classifier) run(ctx context.Context) {
	if !l.awaitResource(ctx, NodeFeatures(), func() {}) {
		return
	}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(l.options.Dynamic, 0)
	l.informer = factory.ForResource(NodeFeatures()).Informer()
	enqueue := func(object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if f, ok := object.(*feature); ok {
			l.changed.Add(f.node)
		}
	}
	seen, err := l.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) }, DeleteFunc: enqueue,
	})
	err = errors.Join(err, l.informer.SetTransform(stripFeature), l.informer.AddIndexers(cache.Indexers{byNode: func(object any) ([]string, error) {
		if f, ok := object.(*feature); ok {
			return []string{f.node}, nil
		}
		return nil, nil
	}}))
	if err != nil { // only where it runs already
		l.log.Error("cannot watch the NodeFeature objects of NFD", "error", err)
		return
	}
	factory.Start(ctx.Done())
	cache.WaitForCacheSync(ctx.Done(), seen.HasSynced)
	var group sync.WaitGroup
	for range classifiers {
		group.Go(func() { l.classify(ctx) })
	}
	<-ctx.Done()
	l.changed.ShutDown()
	group.Wait()
	factory.Shutdown()
}

func (l *classifier) classify(ctx context.Context) {
	for {
		node, shutdown := l.changed.Get()
		if shutdown {
			return
		}
		err := l.label(ctx, node)
		switch {
		case apierrors.IsConflict(err): // its own reporter has labelled it
			err = nil
		case err != nil && ctx.Err() == nil:
			l.log.Warn("cannot label a node with its class, trying again", "node", node, "error", err)
			l.changed.AddRateLimited(node)
		}
		if err == nil {
			l.changed.Forget(node)
		}
		l.changed.Done(node)
	}
}

// label labels a node with the class that follows from its NodeFeature objects.
func (l *classifier) label(ctx context.Context, node string) error {
	kind, known := l.nodes.kindOf(node)
	if !known {
		return nil // it is looked at again when it is there
	}
	objects, err := l.informer.GetIndexer().ByIndex(byNode, node)
	if err != nil || len(objects) == 0 {
		return err
	}
	class, err := l.classOf(objects, kind.arch)
	if err != nil {
		return fmt.Errorf("read what NFD tells of it: %w", err)
	}
	if class.ID == kind.class {
		return nil
	}
	return Reporter{Client: l.client, Dynamic: l.options.Dynamic, Node: node}.apply(ctx, class)
}

// classOf is the class that the NodeFeature objects of a node come to. Most nodes have one.
func (l *classifier) classOf(objects []any, arch string) (nodeclass.Class, error) {
	var read []nodefeature.Object
	parts := []string{arch}
	for _, object := range objects {
		f, ok := object.(*feature)
		if !ok {
			continue
		}
		parts = append(parts, f.GetNamespace()+"/"+strings.TrimPrefix(f.GetName(), f.node), f.features.Value())
		o := nodefeature.Object{}
		o.Metadata.Name, o.Metadata.Namespace, o.Metadata.Labels = f.GetName(), f.GetNamespace(), map[string]string{nodefeature.NodeLabel: f.node}
		if err := json.Unmarshal([]byte(f.features.Value()), &o.Spec.Features); err != nil {
			return nodeclass.Class{}, err
		}
		read = append(read, o)
	}
	key := strings.Join(parts, "\n")
	if class, ok := l.classes.Get(key); ok {
		return class, nil
	}
	known, err := nodefeature.Facts(read, arch)
	if err != nil {
		return nodeclass.Class{}, err
	}
	class := nodeclass.Of(known, nil)
	l.classes.Add(key, class)
	return class, nil
}
