package decision

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// grown is how much more memory than before is worth a garbage collection.
const grown = 16 << 20

// trimmer gives memory back to the system after look-ups that took much of it. Go would do
// so in its own time, within minutes.
type trimmer struct {
	mu   sync.Mutex
	idle uint64 // what the process had when it was idle
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
