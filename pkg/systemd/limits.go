package systemd

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// memoryLimit is where Go's garbage collector begins to work harder. It is no
	// hard limit: a pull of many large answers may go beyond it.
	memoryLimit = 256 << 20
	// maxProcs is enough for all that a node asks of its daemons. Go would use as many
	// threads as there are CPUs, and wake them, on nodes that have hundreds.
	maxProcs = 4
)

// LimitResources makes the process use little memory and few CPUs, unless the environment says
// otherwise by GOMEMLIMIT and GOMAXPROCS.
func LimitResources() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) > maxProcs {
		runtime.GOMAXPROCS(maxProcs)
	}
}
