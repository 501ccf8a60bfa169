package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	listerscorev1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/metrics"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Options are what a Controller is made of.
type Options struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface // for node classes
	// Gather finds out what an image needs; Evaluator evaluates that, by the Rules of
	// this moment.
	Gather    Gatherer
	Evaluator *decision.Evaluator
	Rules     func() *decision.Rules
	// Auth returns the controller's own credentials for an image, or nil.
	Auth func(ctx context.Context, repository reference.Named) (*registry.Auth, error)
	// PullSecrets uses the imagePullSecrets of pods before those of Auth.
	PullSecrets bool
	// Strict requires a class that fits, and so excludes nodes without a class.
	Strict bool
	// NodeFeatures labels nodes with their class by what NFD tells of them.
	NodeFeatures bool
	// Budget is how long a pod may wait for the registries.
	Budget time.Duration
	// ResolveTTL is how long a tag is taken for what it was.
	ResolveTTL time.Duration
	Metrics    *metrics.Metrics
	Log        *slog.Logger
}

// Controller places the gated pods of a cluster.
type Controller struct {
	options Options
	client  kubernetes.Interface
	log     *slog.Logger

	images   *images
	nodes    *nodes
	labels   *classifier // nil where nodes are not labelled
	waits    *waits
	drifting workqueue.TypedInterface[string]             // nodes
	bound    workqueue.TypedRateLimitingInterface[string] // pods that fitted no node
	queue    workqueue.TypedRateLimitingInterface[string]
	pods     listerscorev1.PodLister
	events   record.EventRecorder
	leads    atomic.Bool
}

// workers are the pods that are placed at the same time. They wait for the API server
// only, never for a registry: there must be more than those that create pods at once, or
// pods wait here where that server is busy.
const workers = 64

// New returns a Controller that does nothing yet.
func New(o Options) *Controller {
	c := &Controller{
		options: o, client: o.Client, log: o.Log, nodes: newNodes(), waits: newWaits(), images: newImages(o.Gather),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 30*time.Second)),
	}
	c.drifting = workqueue.NewTyped[string]()
	c.bound = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 30*time.Second))
	c.images.auth, c.images.ttl, c.images.budget = c.authOf, o.ResolveTTL, o.Budget
	c.images.looked = o.Metrics.LookedUp
	if o.NodeFeatures {
		c.labels = newClassifier(c)
	}
	o.Metrics.WatchCluster(c.waits.waiting, c.nodes.size, c.leads.Load)
	return c
}

// Run places pods until ctx ends. Only one instance may run it at a time. It can be
// called once.
func (c *Controller) Run(ctx context.Context) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	c.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: Program})

	unbound := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithTransform(stripPod),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName=,status.phase=Pending" }))
	whole := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithTransform(stripNode))
	pods, nodes := unbound.Core().V1().Pods(), whole.Core().V1().Nodes()
	c.pods = pods.Lister()
	nodesSeen, err := nodes.Informer().AddEventHandler(c.onNode())
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	classes := c.watchClasses(ctx)
	whole.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), nodesSeen.HasSynced) {
		return nil // stopped
	}
	classes.awaitSync(ctx)
	podsSeen, err := pods.Informer().AddEventHandler(c.onPod())
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	unbound.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), podsSeen.HasSynced) {
		return nil
	}
	c.leads.Store(true)
	all, _, known := c.nodes.size()
	c.log.Info("placing pods", "nodes", all, "node_classes", known)
	c.serve(ctx)
	unbound.Shutdown()
	whole.Shutdown()
	classes.done.Wait()
	c.images.lookups.Wait()
	return nil
}

// serve runs the workers until ctx ends.
func (c *Controller) serve(ctx context.Context) {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { c.work(ctx) })
	}
	group.Go(func() { c.beat(ctx) })
	group.Go(func() { c.followDrift(ctx) })
	group.Go(func() { c.followBound(ctx) })
	group.Go(func() { c.followCluster(ctx) })
	group.Go(func() { c.collect(ctx) })
	if c.labels != nil {
		group.Go(func() { c.labels.run(ctx) })
	}
	<-ctx.Done()
	c.queue.ShutDown()
	c.drifting.ShutDown()
	c.bound.ShutDown()
	group.Wait()
}

func (c *Controller) onPod() cache.ResourceEventHandler {
	enqueue := func(object any) {
		if pod, ok := object.(*corev1.Pod); ok {
			c.queue.Add(keyOf(pod))
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			enqueue(object)
			// A pod with a node leaves the informer, as does one that was deleted.
			if pod, ok := object.(*corev1.Pod); ok && fitsNowhere(pod) {
				c.bound.Add(keyOf(pod))
			}
		},
	}
}

func (c *Controller) onNode() cache.ResourceEventHandler {
	set := func(object any) {
		if node, ok := object.(*corev1.Node); ok {
			kind := kindOf(node)
			before := c.nodes.set(node.Name, kind)
			c.noteDrift(node.Name, before, kind)
			if c.labels != nil && before != kind {
				c.labels.changed.Add(node.Name)
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, object any) { set(object) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			if node, ok := object.(*corev1.Node); ok {
				c.nodes.remove(node.Name)
			}
		},
	}
}

// Leads reports whether this instance places pods.
func (c *Controller) Leads() bool { return c.leads.Load() }
