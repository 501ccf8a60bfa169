package systemd

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// memoryLimit makes Go's garbage collector work harder near it. It is a soft limit,
	// below those of the units.
	memoryLimit = 256 << 20
	// maxProcs is enough for a node's pulls. By default Go would use, and wake, a thread
	// for each CPU on nodes with hundreds of them.
	maxProcs = 4
)

// LimitResources limits memory and CPUs, unless the environment sets GOMEMLIMIT and
// GOMAXPROCS.
func LimitResources() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) > maxProcs {
		runtime.GOMAXPROCS(maxProcs)
	}
}
