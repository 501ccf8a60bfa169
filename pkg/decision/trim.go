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
	// settled is how long after the last look-up nothing of it is in use any more, but for
	// connections that wait for another, which are closed after closed.
	settled = 2 * time.Second
	closed  = 45 * time.Second
)

// trimmer gives memory back to the system after look-ups that took much of it. Go would do
// so in its own time, within minutes.
type trimmer struct {
	inUse func() uint64 // how much memory of the system the process has
	free  func()

	mu    sync.Mutex
	idle  uint64 // what the process had when it was idle
	timer *time.Timer
}

func newTrimmer() *trimmer {
	return &trimmer{inUse: inUse, free: debug.FreeOSMemory, idle: inUse()}
}

// soon trims after a while without another call.
func (t *trimmer) soon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after(settled, t.trim)
}

// after is called with the lock held.
func (t *trimmer) after(pause time.Duration, do func()) {
	if t.timer != nil {
		t.timer.Stop()
	}
	t.timer = time.AfterFunc(pause, do)
}

func (t *trimmer) trim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inUse() < t.idle+grown {
		return
	}
	t.free()
	t.after(closed, t.trimAgain)
}

// trimAgain frees what the connections of the look-ups had: a hundred of a host take more
// than all else.
func (t *trimmer) trimAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free()
	t.idle = t.inUse()
}

// inUse is how much memory of the system Go has.
func inUse() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
