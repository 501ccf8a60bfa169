package hostfacts

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

// collector reads some sets of facts. It declares all of them, so that they
// become unknown, and not absent, when it fails.
type collector struct {
	// sets declares what is collected. A collector that knows an origin better
	// than the declaration puts it into Features.Origins.
	sets []facts.Set
	// collect fills in the sets. What it leaves with an error is dropped.
	collect func(host, *facts.Features) error
	// lenient is a collector that continues without what it cannot read. What it
	// did not find is then unknown.
	lenient bool
}

// host is what the collectors work on.
type host struct {
	root   Root
	live   bool // the root belongs to the kernel this process runs on
	arch   string
	cpu    cpuInfo
	cpuErr error // why cpu is empty
	now    time.Time
}

// collectors returns all collectors, in the order of the documentation.
func collectors() []collector {
	return slices.Concat(
		cpuCollectors(), kernelCollectors(), deviceCollectors(), nodeCollectors(), hpcCollectors())
}

// Sets returns the declarations of all sets that are collected.
func Sets() []facts.Set {
	var sets []facts.Set
	for _, c := range collectors() {
		sets = append(sets, c.sets...)
	}
	return sets
}

// FindSet returns the declaration of a set that is collected.
func FindSet(name string) (facts.Set, bool) {
	for _, set := range Sets() {
		if set.Name == name {
			return set, true
		}
	}
	return facts.Set{}, false
}

// HasInstances reports whether the elements of a set are devices, each of which is
// looked at by itself. Of the sets of others those are that are named so.
func HasInstances(name string) bool {
	if set, ok := FindSet(name); ok {
		return set.Kind == facts.Instances
	}
	return strings.HasSuffix(name, ".device")
}

// Families returns the first words of all sets that are collected, such as cpu
// for cpu.cpuid, sorted.
func Families() []string {
	var families []string
	for _, set := range Sets() {
		families = append(families, set.Family())
	}
	slices.Sort(families)
	return slices.Compact(families)
}

// Collect reads the facts of the node at root. It never fails as a whole: a set
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
				found.Unknown[set.Name] = facts.CauseOf(err)
			}
		}
		for _, set := range c.sets {
			if set.Origin != "" {
				all.Origins[set.Name] = set.Origin
			}
		}
		all.Add(found)
	}
	operator.Overlay(root, &all)
	if root.recorded != nil {
		all = root.recorded.over(all)
	}
	os := "linux" // also of a tree from elsewhere: no other system has a proc and a sys
	if h.live {
		os = runtime.GOOS
	}
	return facts.NewOwned(os, h.arch, all)
}

// over replaces the sets that the machine knew better than from its files.
func (r *Recorded) over(all facts.Features) facts.Features {
	if len(r.Sets) == 0 {
		return all
	}
	problems := all.Problems
	all = all.Only(func(set string) bool { return !slices.Contains(r.Sets, set) })
	all.Add(r.Features)
	all.Problems = problems
	return all
}

func runCollector(ctx context.Context, c collector, h host) (found facts.Features, err error) {
	defer func() {
		if p := recover(); p != nil {
			var sets []string
			for _, set := range c.sets {
				sets = append(sets, set.Name)
			}
			err = fmt.Errorf("collector of %s panicked: %v", strings.Join(sets, ", "), p)
		}
	}()
	if err := ctx.Err(); err != nil {
		return facts.Features{}, fmt.Errorf("collection stopped: %w", err)
	}
	found = facts.NewFeatures()
	if !c.lenient {
		return found, c.collect(h, &found)
	}
	root, unread := h.root, &noticing{Files: h.root.Files()}
	h.root.files = unread
	if err = c.collect(h, &found); err == nil && unread.err != nil {
		cause := facts.CauseOf(root.pathError("read", unread.name, unread.err))
		for _, set := range c.sets {
			found.Unknown[set.Name] = cmp.Or(found.Unknown[set.Name], cause)
		}
	}
	return found, err
}

func newHost(root Root) host {
	h := host{root: root, live: root.isLive(), now: time.Now()}
	var data []byte
	if data, h.cpuErr = root.ReadHead("proc/cpuinfo", maxCPUInfo); h.cpuErr == nil {
		h.cpu, h.cpuErr = parseCPUInfo(data)
	}
	h.arch = h.cpu.Arch
	if isPower(h.arch) {
		h.arch = cmp.Or(powerArch(root), h.arch)
	}
	if h.live {
		h.arch = runtime.GOARCH
	}
	if root.recorded != nil {
		h.now, h.arch = root.recorded.Time, cmp.Or(root.recorded.Arch, h.arch)
	}
	return h
}
