package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// waits keeps since when pods wait for the controller. It is not since they were created:
// where the controller was away, the registry gets its time all the same.
type waits struct {
	mu   sync.Mutex
	pods map[string]wait
}

type wait struct {
	uid   types.UID
	since time.Time
}

func newWaits() *waits { return &waits{pods: map[string]wait{}} }

// since returns since when the pod waits, from now on if it did not.
func (w *waits) since(key string, uid types.UID) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	known, ok := w.pods[key]
	if !ok || known.uid != uid {
		known = wait{uid, time.Now()}
		w.pods[key] = known
	}
	return known.since
}

func (w *waits) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pods, key)
}

// Waiting returns how many pods wait, and for how long the longest does.
func (w *waits) waiting() (pods int, longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, known := range w.pods {
		longest = max(longest, time.Since(known.since))
	}
	return len(w.pods), longest
}
