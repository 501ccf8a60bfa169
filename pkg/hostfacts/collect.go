package hostfacts

import (
	"cmp"
	"context"
	"fmt"
	"github.com/imagefit/imagefit/pkg/facts"
	"runtime"
	"slices"
	"strings"
	"time"
)

// collector reads one family of facts. Every set it answers for is named, so
// that the sets become unknown, and not absent, when it fails.
type collector struct {
	sets []string
	// origin says where the sets are read, such as "/proc/cpuinfo". A collector
	// that knows better puts it into Features.Origins.
	origin  string
	collect func(host, *facts.Features) error
	// lenient is a collector that goes on without what it cannot read. What it
	// then did not find is unknown.
	lenient bool
}

// host is what the collectors work on.
type host struct {
	root Root
	live bool // the root belongs to the kernel this process runs on
	arch string
	cpu  cpuInfo
	// cpuErr says why cpu is empty.
	cpuErr error
	now    time.Time // what is past its expiry time is held against
}

func collectors() []collector {
	return slices.Concat(
		cpuCollectors(), kernelCollectors(), memoryCollectors(), networkCollectors(), systemCollectors(),
		deviceCollectors(), localCollectors(), archspecCollectors(),
		gpuCollectors(), rdmaCollectors(), libraryCollectors(), sysctlCollectors(), platformCollectors(),
	)
}

// Collect reads what the node at root offers. It never fails as a whole: a set
// that could not be read is unknown, with the cause.
func Collect(ctx context.Context, root Root) *facts.Facts {
	return collectWith(ctx, root, collectors())
}

func collectWith(ctx context.Context, root Root, list []collector) *facts.Facts {
	h := newHost(root)
	all := facts.NewFeatures()
	for _, c := range list {
		found, err := runCollector(ctx, c, h)
		if err != nil {
			found = facts.NewFeatures()
			for _, set := range c.sets {
				found.Unknown[set] = causeOf(err)
			}
		}
		for _, set := range c.sets {
			if c.origin != "" {
				all.Origins[set] = c.origin
			}
		}
		all.Add(found)
	}
	addOperatorFacts(root, &all)
	root.taken.apply(&all)
	return facts.NewOwned(h.os(), h.arch, all)
}

func runCollector(ctx context.Context, c collector, h host) (found facts.Features, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("collector of %s panicked: %v", strings.Join(c.sets, ", "), p)
		}
	}()
	if err := ctx.Err(); err != nil {
		return facts.Features{}, fmt.Errorf("collection stopped: %w", err)
	}
	found = facts.NewFeatures()
	if !c.lenient {
		return found, c.collect(h, &found)
	}
	root, unread := h.root, &noticing{files: h.root.where()}
	h.root.files = unread
	if err = c.collect(h, &found); err == nil && unread.err != nil {
		cause := causeOf(root.pathError("read", unread.name, unread.err))
		for _, set := range c.sets {
			found.Unknown[set] = cmp.Or(found.Unknown[set], cause)
		}
	}
	return found, err
}

func newHost(root Root) host {
	h := host{root: root, live: isLive(root), now: time.Now()}
	var data []byte
	if data, h.cpuErr = root.ReadHead("proc/cpuinfo", maxCPUInfo); h.cpuErr == nil {
		h.cpu, h.cpuErr = parseCPUInfo(data)
	}
	h.arch = h.cpu.arch
	if isPower(h.arch) {
		h.arch = cmp.Or(powerArch(root), h.arch)
	}
	if h.live {
		h.arch = runtime.GOARCH
	}
	if root.taken != nil {
		h.now = root.taken.Time
	}
	if root.taken != nil && root.taken.Arch != "" {
		h.arch = root.taken.Arch
	}
	return h
}

// os is Linux for a tree from elsewhere: nothing else has a proc and a sys.
func (h host) os() string {
	if h.live {
		return runtime.GOOS
	}
	return "linux"
}

// bootIDFile holds what is different on every boot of every machine.
const bootIDFile = "proc/sys/kernel/random/boot_id"

// isLive tells whether root shows the machine this process runs on. In a
// container the machine's tree is often mounted elsewhere, such as /host; the
// boot id says that it is the same machine.
func isLive(root Root) bool {
	if root.isReal() || root.machine {
		return true
	}
	if root.taken != nil {
		return false
	}
	theirs, err := root.ReadFile(bootIDFile)
	if err != nil || len(theirs) == 0 {
		return false
	}
	ours, err := NewRoot("/").ReadFile(bootIDFile)
	return err == nil && string(ours) == string(theirs)
}
