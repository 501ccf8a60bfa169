package hostfacts

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// collector reads one family of facts. Every set it answers for is named, so
// that the sets become unknown, and not absent, when it fails.
type collector struct {
	sets    []string
	collect func(host, *Features) error
}

// host is what the collectors work on.
type host struct {
	root Root
	live bool // the root belongs to the kernel this process runs on
	arch string
	cpu  cpuInfo
	// cpuErr says why cpu is empty.
	cpuErr error
}

func collectors() []collector {
	return slices.Concat(
		cpuCollectors(), kernelCollectors(), memoryCollectors(), networkCollectors(), systemCollectors(),
	)
}

// Collect reads what the node at root offers. It never fails as a whole: a set
// that could not be read is unknown, with the cause.
func Collect(ctx context.Context, root Root) *Facts {
	return collectWith(ctx, root, collectors())
}

func collectWith(ctx context.Context, root Root, list []collector) *Facts {
	h := newHost(root)
	all := emptyFeatures()
	for _, c := range list {
		found, err := runCollector(ctx, c, h)
		if err != nil {
			found = emptyFeatures()
			for _, set := range c.sets {
				found.Unknown[set] = causeOf(err)
			}
		}
		maps.Copy(all.Flags, found.Flags)
		maps.Copy(all.Attributes, found.Attributes)
		maps.Copy(all.Instances, found.Instances)
		maps.Copy(all.Unknown, found.Unknown)
	}
	return New(h.os(), h.arch, all)
}

func runCollector(ctx context.Context, c collector, h host) (found Features, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("collector of %s panicked: %v", strings.Join(c.sets, ", "), p)
		}
	}()
	if err := ctx.Err(); err != nil {
		return Features{}, fmt.Errorf("collection stopped: %w", err)
	}
	found = emptyFeatures()
	return found, c.collect(h, &found)
}

func emptyFeatures() Features {
	return Features{
		Flags:      map[string][]string{},
		Attributes: map[string]map[string]string{},
		Instances:  map[string][]map[string]string{},
		Unknown:    map[string]string{},
	}
}

func newHost(root Root) host {
	h := host{root: root, live: isLive(root)}
	var data []byte
	if data, h.cpuErr = root.ReadHead("proc/cpuinfo", maxCPUInfo); h.cpuErr == nil {
		h.cpu, h.cpuErr = parseCPUInfo(data)
	}
	h.arch = h.cpu.arch
	if h.live {
		h.arch = runtime.GOARCH
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

// isLive tells whether root shows the machine this process runs on. In a
// container the machine's tree is often mounted elsewhere, such as /host; the
// boot id says that it is the same machine.
func isLive(root Root) bool {
	if root.isReal() {
		return true
	}
	const bootID = "proc/sys/kernel/random/boot_id"
	theirs, err := root.ReadFile(bootID)
	if err != nil || len(theirs) == 0 {
		return false
	}
	ours, err := NewRoot("/").ReadFile(bootID)
	return err == nil && string(ours) == string(theirs)
}
