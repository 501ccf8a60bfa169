package decision

import (
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// listed is an entry as one node sees it.
type listed struct {
	*Entry
	why       string // it is not a candidate here
	foreign   bool   // it is an image for another platform than the node's
	children  []*listed
	wasRead   bool
	candidate int // its position among the candidates, or None
}

// seenBy returns entries as the node sees them. An index within the index that states
// a platform for others is not read.
func seenBy(n node, entries []*Entry) []*listed {
	all := make([]*listed, len(entries))
	for i, e := range entries {
		l := &listed{Entry: e, why: e.Why, candidate: None}
		switch {
		case e.kind == index.Nested && e.Why == "" && e.statesPlatform() && !n.canRun(*e.Listed.Platform):
			l.setForeign(n, *e.Listed.Platform)
		case e.WasRead:
			l.wasRead, l.children = true, seenBy(n, e.Children)
		case e.Why == "" && e.platform != nil && !n.canRun(*e.platform):
			l.setForeign(n, *e.platform)
		}
		all[i] = l
	}
	return all
}

func (l *listed) setForeign(n node, p ocispec.Platform) { l.why, l.foreign = n.otherPlatform(p), true }

// String names the entry and says what keeps it from being a candidate.
func (l *listed) String() string {
	name := short(l.Listed.Digest)
	if l.platform != nil {
		name = l.name + "@" + name
	}
	return Line(name + ": " + l.why)
}

// on returns the decision about the needs on a node as far as no requirement matters:
// which entries are candidates, and what is stated of each.
func (n *Needs) on(ev *evaluation, node node, facts string, now time.Time) *Decision {
	d := &Decision{
		Reference: n.Reference, Repository: n.Repository, Platform: node.String(),
		Choice: None, Default: None, Facts: facts, Time: now,
	}
	if n.isIndex() {
		d.Index = n.Top.Digest
	}
	switch {
	case n.Unread != "":
		d.leave(n.Unread)
	case n.isIndex():
		n.indexOn(ev, node, d)
	case len(n.Entries) == 1:
		n.imageOn(ev, node, d)
	}
	return d
}

// leave leaves the reference to the runtime.
func (d *Decision) leave(why string) {
	d.Candidates, d.Others = nil, nil
	d.Unevaluated = Line(why)
	d.Reason = Line(fmt.Sprintf("%s is left to the runtime: %s", d.Reference, why))
}

func (n *Needs) indexOn(ev *evaluation, node node, d *Decision) {
	if ev.doubtsIndex(n.Signer, n.Unsigned) == "" {
		d.Priorities, d.Signer = readPriorities(n.Priorities), n.Signer
	}
	top := seenBy(node, n.Entries)
	n.addAll(ev, d, top, n.outermost(), 0)
	if found := len(d.Candidates); found > maxCandidates {
		d.leave(notRead(fmt.Errorf("it has %d entries for this node, more than the %d that are read", found, maxCandidates)).Error())
		return
	}
	takes, unevaluated := node.runtimeTakes(top)
	if d.Default = takes; d.Unevaluated == "" {
		d.Unevaluated = unevaluated
	}
}

// addAll adds the entries of the index to the candidates or to the others, in its order,
// and returns the position after them.
func (n *Needs) addAll(ev *evaluation, d *Decision, level []*listed, within []ocispec.Descriptor, position int) int {
	for _, e := range level {
		if e.wasRead {
			position = n.addAll(ev, d, e.children, append(slices.Clip(within), e.Listed.Descriptor), position)
			continue
		}
		n.add(ev, d, e, within, position)
		position++
	}
	return position
}

func (n *Needs) add(ev *evaluation, d *Decision, e *listed, within []ocispec.Descriptor, position int) {
	var in digest.Digest
	if len(within) > 1 {
		in = within[len(within)-1].Digest
	}
	if e.why != "" {
		other := Other{Entry: position, Digest: e.Listed.Digest, Within: in, Platform: e.name, Reason: e.why, foreign: e.foreign}
		if e.Unseen && d.Unevaluated == "" {
			d.Unevaluated = e.String()
		}
		d.Others = append(d.Others, other)
		return
	}
	e.candidate = len(d.Candidates)
	c := n.candidate(ev, e.Entry, within)
	c.Entry, c.Within = position, in
	d.Candidates = append(d.Candidates, c)
}

// candidate makes a candidate of an entry. What is attached to an index that it is in
// applies to those that have nothing of that kind nearer. What does not count is left out
// before.
func (n *Needs) candidate(ev *evaluation, e *Entry, within []ocispec.Descriptor) Candidate {
	c := Candidate{
		Digest: e.Listed.Digest, descriptor: e.Listed.Descriptor, platform: e.platform,
		stated: e.Listed.Annotations[dialect.AnnotationProperties], notImage: e.NotImage, Platform: e.name,
	}
	c.Artifacts, c.Ignored = ev.believed(n.Attached[e.Listed.Digest])
	c.descriptor.Platform = e.platform
	c.described = len(c.Artifacts) > 0
	for _, desc := range slices.Backward(within) {
		common, ignored := ev.believed(n.Attached[desc.Digest])
		c.Artifacts, c.Ignored = overlay(c.Artifacts, common), append(c.Ignored, ignored...)
	}
	c.claims = e.claims("")
	if n.isIndex() {
		c.claims.Index, c.claims.Signer = n.Top.Digest, n.Signer
		ev.believe(&c, e.Inline, n.Unsigned)
	}
	inherited, ignored := ev.believed(e.Inherited)
	c.Artifacts, c.Ignored = append(c.Artifacts, inherited...), append(c.Ignored, ignored...)
	return c
}

// overlay adds the artifacts of the index of whose kind the entry has none.
func overlay(own, common []referrers.Artifact) []referrers.Artifact {
	return append(own, slices.DeleteFunc(slices.Clone(common), func(a referrers.Artifact) bool {
		return slices.ContainsFunc(own, func(o referrers.Artifact) bool { return o.Kind() == a.Kind() })
	})...)
}

// imageOn makes the one candidate of a reference without an index. Where it is not known
// what it or the node is, it is one.
func (n *Needs) imageOn(ev *evaluation, node node, d *Decision) {
	e := n.Entries[0]
	if e.platform != nil && node.architecture != "" && !node.canRun(*e.platform) {
		d.Others = []Other{{
			Digest: e.Listed.Digest, Platform: e.name, Reason: node.otherPlatform(*e.platform), foreign: true,
		}}
		return
	}
	c := n.candidate(ev, e, nil)
	if node.architecture == "" {
		c.platform, c.Platform, c.descriptor.Platform, c.claims.Platform = nil, "", nil, nil
	}
	d.Candidates, d.Default = []Candidate{c}, 0
}
