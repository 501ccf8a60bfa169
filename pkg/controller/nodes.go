package controller

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// nodeKind is what the controller keeps of a node.
type nodeKind struct{ class, os, arch string }

// kindOf reads the kind of a node from its labels, or else from its status.
func kindOf(node *corev1.Node) nodeKind {
	return nodeKind{
		class: node.Labels[ClassLabel],
		os:    cmp.Or(node.Labels[osLabel], node.Status.NodeInfo.OperatingSystem, "linux"),
		arch:  cmp.Or(node.Labels[archLabel], node.Status.NodeInfo.Architecture),
	}
}

// cluster is which kinds of nodes there are. It is never changed, only replaced.
type cluster struct{ hosts []host }

// nodes keeps count of the nodes of each kind and of what is known of the classes.
type nodes struct {
	mu      sync.Mutex
	kinds   map[string]nodeKind // by node
	counts  map[nodeKind]int
	classes map[string]class
	current *cluster // nil when it is to be made again
	changed chan struct{}
}

func newNodes() *nodes {
	return &nodes{kinds: map[string]nodeKind{}, counts: map[nodeKind]int{}, classes: map[string]class{}, changed: make(chan struct{}, 1)}
}

// change has the cluster made again, and tells whoever follows it.
func (n *nodes) change() {
	n.current = nil
	select {
	case n.changed <- struct{}{}:
	default: // told already
	}
}

// set notes the kind of a node, and returns the one that it was of.
func (n *nodes) set(name string, kind nodeKind) (before nodeKind) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, had := n.kinds[name]
	if had && before == kind {
		return before
	}
	if had {
		n.drop(before)
	}
	n.kinds[name] = kind
	if n.counts[kind]++; n.counts[kind] == 1 {
		n.change()
	}
	return before
}

func (n *nodes) remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if kind, had := n.kinds[name]; had {
		delete(n.kinds, name)
		n.drop(kind)
	}
}

// drop counts one node less. The kind stays a host as long as its class is known.
func (n *nodes) drop(kind nodeKind) {
	if n.counts[kind]--; n.counts[kind] == 0 {
		delete(n.counts, kind)
		n.change()
	}
}

// class is a NodeClass of the cluster.
type class struct {
	facts *facts.Facts // nil where they cannot be used
	uid   types.UID
	made  time.Time
}

func (n *nodes) setClass(id string, made class) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.classes[id] = made
	n.change()
}

func (n *nodes) removeClass(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.classes, id)
	n.change()
}

// unused returns the classes that no node has, of those made before a time.
func (n *nodes) unused(before time.Time) (unused []unusedClass) {
	n.mu.Lock()
	defer n.mu.Unlock()
	used := map[string]bool{}
	for kind := range n.counts {
		used[kind.class] = true
	}
	for id, of := range n.classes {
		if !used[id] && of.made.Before(before) {
			unused = append(unused, unusedClass{id, of.uid})
		}
	}
	return unused
}

// kindOf returns the kind of a node.
func (n *nodes) kindOf(name string) (nodeKind, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	kind, ok := n.kinds[name]
	return kind, ok
}

// size returns how many nodes there are, how many of them have a class, and how many
// classes there are.
func (n *nodes) size() (all, inClass, classes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := map[string]bool{}
	for kind, count := range n.counts {
		if all += count; kind.class != "" {
			inClass += count
			seen[kind.class] = true
		}
	}
	return all, inClass, len(seen)
}

// count sets how many nodes there are of each kind.
func (n *nodes) count(fits []podFit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	inClass := map[string]int{}
	for kind, some := range n.counts {
		inClass[kind.class] += some
	}
	for i := range fits {
		f := &fits[i]
		if f.nodes = inClass[f.ID]; f.ID == "" {
			f.nodes = n.counts[nodeKind{os: f.os, arch: f.arch}]
		}
	}
}

// snapshot returns the hosts of this moment: the platforms that a node can be of, and the
// classes that nodes have.
func (n *nodes) snapshot() *cluster {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.current == nil {
		n.current = &cluster{append(n.platforms(), n.inClasses()...)}
	}
	return n.current
}

// platforms lists every architecture, since the cluster may grow nodes of any, for each
// operating system that it has.
func (n *nodes) platforms() []host {
	systems := map[string]bool{"linux": true}
	for kind := range n.counts {
		systems[kind.os] = true
	}
	var hosts []host
	for _, system := range slices.Sorted(maps.Keys(systems)) {
		for _, arch := range architectures() {
			hosts = append(hosts, host{nodeclass.Class{Facts: bare(system, arch)}, system, arch})
		}
	}
	return hosts
}

func (n *nodes) inClasses() []host {
	byClass := map[string]host{}
	for kind := range n.counts {
		if kind.class == "" {
			continue
		}
		h := host{nodeclass.Class{ID: kind.class, Facts: n.classes[kind.class].facts}, kind.os, kind.arch}
		if h.Facts == nil { // its NodeClass is not there yet, so nothing else is known of it
			h.Facts = bare(kind.os, kind.arch)
		}
		byClass[kind.class] = h
	}
	hosts := slices.Collect(maps.Values(byClass))
	slices.SortFunc(hosts, func(a, b host) int { return cmp.Compare(a.ID, b.ID) })
	return hosts
}

// bare are the facts of a node of which only the platform is known.
func bare(system, arch string) *facts.Facts { return facts.New(system, arch, facts.NewFeatures()) }

// architectures are those that the kubelet puts into kubernetes.io/arch.
func architectures() []string {
	return []string{"386", "amd64", "arm", "arm64", "loong64", "ppc64le", "riscv64", "s390x"}
}
