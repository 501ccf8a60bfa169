package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// crowd is many pods of some images at once on many nodes.
type crowd struct{ nodes, classes, pods, images int }

// span is how long something took for one pod after another.
type span []time.Duration

func (s span) String() string {
	slices.Sort(s)
	if len(s) == 0 {
		return "-"
	}
	at := func(q float64) time.Duration { return s[int(q*float64(len(s)-1))].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %s, p99 %s", at(.5), at(.99))
}

// times are those of one round of pods, from when they were created.
type times struct {
	ungated, bound span
	all            time.Duration // until the last was bound
	affinity       int           // bytes that a pod has grown by, on average
	perfect        int           // pods on a node of the best class
}

// TestManyPodsAtOnceRunWhereTheBestVariantDoes is the small version of `make bench-cluster`.
func TestManyPodsAtOnceRunWhereTheBestVariantDoes(t *testing.T) {
	s := newScene(t)
	of := crowd{nodes: 200, classes: 8, pods: 100, images: 10}
	refs, best := s.gather(t, of)
	s.start(t)
	if got := s.round(t, s.namespace, of, refs, best); got.perfect != of.pods {
		t.Errorf("%d of %d pods are on the best class", got.perfect, of.pods)
	}
}

// BenchmarkCluster prints what a pod costs with and without the controller. It runs once,
// whatever -benchtime is.
func BenchmarkCluster(b *testing.B) {
	for _, nodes := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("%d-nodes", nodes), func(b *testing.B) {
			s := newScene(b)
			of := crowd{nodes: nodes, classes: 100, pods: 1000, images: 50}
			refs, best := s.gather(b, of)
			s.makeNamespace(b, s.namespace+"-alone", nil)
			alone := s.round(b, s.namespace+"-alone", of, refs, nil)
			s.start(b)
			s.place(b, "first", refs[0]) // the controller runs
			before := len(s.registry.Requests())
			cold := s.round(b, s.namespace, of, refs, best)
			requests := len(s.registry.Requests()) - before
			warm := s.round(b, s.namespace, of, refs, best)
			var out strings.Builder
			fmt.Fprintf(&out, "\n%d pods of %d images at once, %d nodes in %d classes\n", of.pods, of.images, of.nodes, of.classes)
			fmt.Fprintf(&out, "  without the controller  bound %s, all in %s\n", alone.bound, alone.all.Round(time.Millisecond))
			fmt.Fprintf(&out, "  images not known yet    ungated %s, bound %s, all in %s, %d requests to the registry\n", cold.ungated, cold.bound, cold.all.Round(time.Millisecond), requests)
			fmt.Fprintf(&out, "  images known            ungated %s, bound %s, all in %s\n", warm.ungated, warm.bound, warm.all.Round(time.Millisecond))
			fmt.Fprintf(&out, "  on the best class       %d and %d of %d\n", cold.perfect, warm.perfect, of.pods)
			fmt.Fprintf(&out, "  a pod grows by          %d bytes in etcd\n", warm.affinity)
			fmt.Fprintf(&out, "  memory                  controller %d MiB", s.process.Memory()>>20)
			for name, used := range s.plane.Memory() {
				fmt.Fprintf(&out, ", %s %d MiB", name, used>>20)
			}
			fmt.Fprintln(os.Stderr, out.String())
		})
	}
}

// gather makes nodes, classes and images. Half of the classes are of the highest level,
// which runs the best variant of every image.
func (s *scene) gather(t testing.TB, of crowd) (refs []string, best map[string]bool) {
	t.Helper()
	best = map[string]bool{}
	var classes []string
	for i := range of.classes {
		level := 4
		if i%2 == 1 {
			level = 1 + i%3
		}
		class := s.class(t, level, fmt.Sprintf("FLAG%d", i))
		classes = append(classes, class.ID)
		best[class.ID] = level == 4
	}
	each(t, of.nodes, func(ctx context.Context, i int) error {
		_, err := s.CoreV1().Nodes().Create(ctx, nodeObject(fmt.Sprintf("node-%d", i), "amd64", classes[i%len(classes)]), metav1.CreateOptions{})
		return err
	})
	for i := range of.images {
		_, ref, _ := s.push(t, fmt.Sprintf("app%d", i), "amd64", "amd64/v2", "amd64/v3", "amd64/v4")
		refs = append(refs, ref)
	}
	return refs, best
}

// each calls do for each of n, some at the same time.
func each(t testing.TB, n int, do func(ctx context.Context, i int) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	must(t, group.Wait())
}

// round creates the pods, waits until all are bound, and removes them.
func (s *scene) round(t testing.TB, namespace string, of crowd, refs []string, best map[string]bool) times {
	t.Helper()
	var mu sync.Mutex
	created, ungated, bound := map[string]time.Time{}, map[string]time.Time{}, map[string]*corev1.Pod{}
	at := map[string]time.Time{}
	done := make(chan struct{})
	see := func(object any) {
		pod, ok := object.(*corev1.Pod)
		if !ok || !strings.HasPrefix(pod.Name, "crowd-") {
			return
		}
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		if _, known := ungated[pod.Name]; !known && !gated(pod) {
			ungated[pod.Name] = now
		}
		if bound[pod.Name] == nil && pod.Spec.NodeName != "" {
			bound[pod.Name], at[pod.Name] = pod, now
			if len(bound) == of.pods {
				close(done)
			}
		}
	}
	s.watchPods(t, namespace, see)
	start := time.Now()
	each(t, of.pods, func(ctx context.Context, i int) error {
		name := fmt.Sprintf("crowd-%d", i)
		mu.Lock()
		created[name] = time.Now()
		mu.Unlock()
		_, err := s.CoreV1().Pods(namespace).Create(ctx, podObject(name, refs[i%len(refs)]), metav1.CreateOptions{})
		return err
	})
	select {
	case <-done:
	case <-time.After(4 * time.Minute):
		t.Fatal("not all pods are bound")
	}
	got := times{all: time.Since(start)}
	mu.Lock()
	for name, pod := range bound {
		got.ungated = append(got.ungated, ungated[name].Sub(created[name]))
		got.bound = append(got.bound, at[name].Sub(created[name]))
		if pod.Spec.Affinity != nil {
			got.affinity += pod.Spec.Affinity.Size() + len("imagefit.dev/placed") + len("placed") + 8
		}
		var n int
		if _, err := fmt.Sscanf(pod.Spec.NodeName, "node-%d", &n); err == nil && best != nil && n%of.classes%2 == 0 {
			got.perfect++
		}
	}
	mu.Unlock()
	got.affinity /= of.pods
	now := int64(0)
	must(t, s.CoreV1().Pods(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}))
	return got
}

// watchPods calls see for each version of the pods of a namespace until the test ends, also
// where the API server ends its watches meanwhile.
func (s *scene) watchPods(t testing.TB, namespace string, see func(any)) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	factory := informers.NewSharedInformerFactoryWithOptions(s.Clientset, 0, informers.WithNamespace(namespace))
	handler, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: see, UpdateFunc: func(_, pod any) { see(pod) },
	})
	must(t, err)
	factory.Start(ctx.Done())
	cache.WaitForCacheSync(ctx.Done(), handler.HasSynced)
	t.Cleanup(func() { stop(); factory.Shutdown() })
}
