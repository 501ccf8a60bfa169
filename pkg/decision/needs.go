package decision

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// Needs is what a reference stands for and what is stated of it: all that a decision
// rests on beside the facts of a node and the rules. It is read once and evaluated on
// any number of nodes (Evaluator.Evaluate, Session). Once gathered it is never changed,
// so any number of goroutines may read it.
//
// As JSON it keeps everything but the bodies of artifacts, which the cache has under the
// digest of their layer. Who keeps them elsewhere sets them after reading (SetBodies).
type Needs struct {
	Reference  string             `json:"reference"`  // as the runtime normalises it
	Repository string             `json:"repository"` // the reference without tag and digest
	Top        ocispec.Descriptor `json:"top"`        // the index or manifest
	Priorities string             `json:"priorities,omitempty"`
	// Unread is why imagefit does not know what the reference stands for, where the
	// runtime may.
	Unread  string   `json:"unread,omitempty"`
	Entries []*Entry `json:"entries,omitempty"` // of the index; without one, the image itself
	// Attached are the current artifacts of each manifest and index.
	Attached map[digest.Digest][]referrers.Artifact `json:"attached,omitempty"`
	// Signer is who signed the index, where that was asked, or Unsigned why no trusted key
	// did.
	Signer   *referrers.Signer `json:"signer,omitempty"`
	Unsigned string            `json:"unsigned,omitempty"`
	// NoReferrersAPI is true where a registry has no referrers API.
	NoReferrersAPI bool `json:"noReferrersAPI,omitempty"`
}

// Entry is an entry of an index, or of an index within it, and what became of it.
type Entry struct {
	Listed index.Entry `json:"entry"`
	Why    string      `json:"why,omitempty"` // it is not a candidate on any node
	// Unseen is true of what may be, or hold, an image and was not read.
	Unseen bool `json:"unseen,omitempty"`
	// Artifact is true of a manifest whose own content shows that it is not an image.
	Artifact bool `json:"artifact,omitempty"`
	// NotImage is the same of one that states the platform of another entry; it is a
	// candidate until it would be chosen.
	NotImage string `json:"notImage,omitempty"`
	// Children are the entries of an index that was read.
	Children []*Entry `json:"children,omitempty"`
	WasRead  bool     `json:"read,omitempty"`
	// Platform is that of the config, where the index states none.
	Platform  json.RawMessage      `json:"platform,omitempty"`
	Claims    EntryClaims          `json:"claims"`              // without platform and index, which are above
	Inline    []referrers.Artifact `json:"inline,omitempty"`    // what the entry points at directly
	Inherited []referrers.Artifact `json:"inherited,omitempty"` // of the base image

	kind     index.Kind
	platform *ocispec.Platform // stated by the entry, or else by the config
	name     string            // of the platform, "" where there is none
}

func newEntries(entries []index.Entry) []*Entry {
	all := make([]*Entry, len(entries))
	for i, listed := range entries {
		e := &Entry{Listed: listed}
		e.kind, e.Why = listed.Kind()
		e.runsOn(listed.Platform)
		all[i] = e
	}
	return all
}

// UnmarshalJSON reads an entry as json.Marshal writes it.
func (e *Entry) UnmarshalJSON(text []byte) error {
	type plain Entry // without this method
	if err := json.Unmarshal(text, (*plain)(e)); err != nil {
		return err
	}
	e.kind, _ = e.Listed.Kind()
	e.runsOn(e.Listed.Platform)
	if len(e.Platform) == 0 {
		return nil
	}
	var p ocispec.Platform
	if err := json.Unmarshal(e.Platform, &p); err != nil {
		return fmt.Errorf("platform of %s: %w", e.Listed.Digest, err)
	}
	e.runsOn(&p)
	return nil
}

// runsOn sets the platform.
func (e *Entry) runsOn(p *ocispec.Platform) {
	if e.platform = p; p != nil {
		e.name = index.PlatformName(p)
	}
}

// setPlatform sets the platform that the config of the image states.
func (e *Entry) setPlatform(p ocispec.Platform) (err error) {
	if e.runsOn(&p); p.Architecture == "" {
		e.setUnseen("states no platform, and its config does not either")
		return nil
	}
	e.Platform, err = json.Marshal(p)
	return err
}

func (e *Entry) setUnseen(format string, args ...any) {
	e.Why, e.Unseen = Line(fmt.Sprintf(format, args...)), true
}

// statesPlatform reports whether the index states an architecture for the entry.
func (e *Entry) statesPlatform() bool {
	return e.Listed.Platform != nil && e.Listed.Platform.Architecture != ""
}

// claims is what the entry states of itself, with its platform as it is written.
func (e *Entry) claims(top digest.Digest) EntryClaims {
	claims := e.Claims
	claims.Index, claims.Platform = top, e.Listed.RawPlatform
	if len(e.Platform) > 0 {
		claims.Platform = e.Platform
	}
	return claims
}

// leaves yields the entries in the order of the index, those of an index within it in
// its place, each with the indexes that it is in.
func leaves(level []*Entry, within []ocispec.Descriptor) iter.Seq2[*Entry, []ocispec.Descriptor] {
	return func(yield func(*Entry, []ocispec.Descriptor) bool) { eachLeaf(level, within, yield) }
}

func eachLeaf(level []*Entry, within []ocispec.Descriptor, yield func(*Entry, []ocispec.Descriptor) bool) bool {
	for _, e := range level {
		if e.WasRead {
			if !eachLeaf(e.Children, append(slices.Clip(within), e.Listed.Descriptor), yield) {
				return false
			}
		} else if !yield(e, within) {
			return false
		}
	}
	return true
}

// Images calls a function with each image of the index and its platform.
func (n *Needs) Images(each func(d digest.Digest, platform string)) {
	for e := range leaves(n.Entries, nil) {
		if e.isImage() {
			each(e.Listed.Digest, e.name)
		}
	}
}

// Artifacts yields everything that is stated of the image or of a part of it outside
// its index, each place once. What it yields may be changed only before the needs are
// evaluated.
func (n *Needs) Artifacts() iter.Seq[*referrers.Artifact] {
	return func(yield func(*referrers.Artifact) bool) {
		each := func(list []referrers.Artifact) bool {
			for i := range list {
				if !yield(&list[i]) {
					return false
				}
			}
			return true
		}
		for _, list := range n.Attached {
			if !each(list) {
				return
			}
		}
		for e := range leaves(n.Entries, nil) {
			if !each(e.Inline) || !each(e.Inherited) {
				return
			}
		}
	}
}

// SetBodies gives the artifacts their bodies again after the needs were read from JSON:
// body returns what has a digest, or nil to leave it to the cache.
func (n *Needs) SetBodies(body func(digest.Digest) []byte) {
	for a := range n.Artifacts() {
		if a.Body == nil && a.Layer != "" {
			a.Body = body(a.Layer)
			a.Size = max(a.Size, int64(len(a.Body)))
		}
	}
}
