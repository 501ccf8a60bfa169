package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	listerscorev1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/imagefit/imagefit/pkg/metrics"
)

// TestHeartbeatIsAsLateAsPodsAre: while all workers wait for the API server, the admission
// policy is not told that pods are placed.
func TestHeartbeatIsAsLateAsPodsAre(t *testing.T) {
	t.Parallel()
	arrived, release, beats := make(chan string, workers), make(chan struct{}), make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/heartbeats/") {
			beats <- r.Method
		} else {
			arrived <- r.URL.Path
			<-release
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"apiVersion": "v1", "kind": "Pod"}`)
	}))
	defer server.Close()
	config := &rest.Config{Host: server.URL, QPS: -1}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	other, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Client: typed, Dynamic: other, Metrics: metrics.New(metrics.Controller, "v1"), Log: slog.New(slog.DiscardHandler)})
	c.events = record.NewFakeRecorder(workers)
	known := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	c.pods = listerscorev1.NewPodLister(known)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	for i := range workers {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: fmt.Sprint("pod-", i)}}
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: Gate}}
		if err := known.Add(pod); err != nil {
			t.Fatal(err)
		}
		c.queue.Add(keyOf(pod))
		go func() {
			c.work(ctx)
			ended <- struct{}{}
		}()
	}
	for range workers {
		<-arrived
	}
	c.queue.Add(heartbeatKey)
	select {
	case method := <-beats:
		t.Errorf("%s of the heartbeat while no pod is placed", method)
	default:
	}
	close(release)
	if method := <-beats; method != http.MethodPatch {
		t.Errorf("the heartbeat is renewed by %s", method)
	}
	stop()
	c.queue.ShutDown()
	for range workers {
		<-ended
	}
}
