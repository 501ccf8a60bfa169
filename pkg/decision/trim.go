package decision

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// grown is how much more memory than before is worth a garbage collection.
	grown = 4 << 20
	// settled is how long after the last look-up nothing of it is in use any more.
	settled = 2 * time.Second
)

// trimmer gives memory back to the system after look-ups that took much of it. Go would do
// so in its own time, within minutes.
type trimmer struct {
	mu    sync.Mutex
	idle  uint64 // what the process had when it was idle
	timer *time.Timer
}

// soon trims after a while without another call.
func (t *trimmer) soon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
	t.timer = time.AfterFunc(settled, t.trim)
}

func (t *trimmer) trim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if inUse() < t.idle+grown {
		return
	}
	debug.FreeOSMemory()
	t.idle = inUse()
}

// inUse is how much memory of the system Go has.
func inUse() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
