package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// Annotations of what a mirror writes anew.
const (
	// AnnotationMirrorOf of an index or artifact names what it was made of.
	AnnotationMirrorOf = "imagefit.dev/mirror-of"
	// AnnotationLeftOut of an index counts the entries that it does not have.
	AnnotationLeftOut = "imagefit.dev/mirror-left-out"
)

// Mirrored is an image that was copied, or would be.
type Mirrored struct {
	Name     string        `json:"name"`
	To       string        `json:"to"`
	Digest   digest.Digest `json:"digest,omitempty"` // at the mirror
	Variants []string      `json:"variants"`         // platforms that are copied
	LeftOut  int           `json:"left_out,omitempty"`
	Problem  string        `json:"problem,omitempty"`
}

// Mirror copies images with the variants that nodes would choose.
type Mirror struct {
	// From and To open repositories.
	From, To func(ctx context.Context, named reference.Named) (*remote.Repository, error)
}

// Wanted returns the variants of an image that some node would choose.
func (l *MatrixLine) Wanted() map[digest.Digest]string {
	wanted := map[digest.Digest]string{}
	for _, v := range l.Verdicts {
		if v.Digest != "" {
			wanted[v.Digest] = v.Platform
		}
	}
	return wanted
}

// Copy copies an image under one name to another repository: of an index only the wanted
// variants, with everything that refers to them. An index that lacks entries is a new one,
// which names the one that it was made of.
func (m *Mirror) Copy(ctx context.Context, name, to reference.Named, top digest.Digest, wanted map[digest.Digest]string) (d digest.Digest, leftOut int, err error) {
	from, err := m.From(ctx, name)
	if err != nil {
		return "", 0, err
	}
	target, err := m.To(ctx, to)
	if err != nil {
		return "", 0, err
	}
	tag := registry.TagOrDigest(to)
	desc, body, err := fetchManifest(ctx, from, top)
	if err != nil {
		return "", 0, err
	}
	if !index.IsIndex(desc.MediaType) {
		return desc.Digest, 0, errors.Join(copyWithReferrers(ctx, from, target, desc), tagAs(ctx, target, desc, tag))
	}
	kept, leftOut, err := keptEntries(body, wanted)
	if err != nil {
		return "", 0, err
	}
	if leftOut == 0 {
		return desc.Digest, 0, errors.Join(copyWithReferrers(ctx, from, target, desc), tagAs(ctx, target, desc, tag))
	}
	for _, entry := range kept.entries {
		if err := copyWithReferrers(ctx, from, target, entry); err != nil {
			return "", 0, fmt.Errorf("copy %s: %w", entry.Digest, err)
		}
	}
	made, err := kept.index(name.String()+"@"+top.String(), leftOut)
	if err != nil {
		return "", 0, err
	}
	newIndex := content.NewDescriptorFromBytes(desc.MediaType, made)
	if err := target.PushReference(ctx, newIndex, bytes.NewReader(made), tag); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return "", 0, err
	}
	return newIndex.Digest, leftOut, moveArtifacts(ctx, from, target, desc, newIndex)
}

func fetchManifest(ctx context.Context, from *remote.Repository, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	desc, body, err := from.FetchReference(ctx, d.String())
	if err != nil {
		return desc, nil, err
	}
	defer func() { _ = body.Close() }()
	if desc.Size > maxContent {
		return desc, nil, fmt.Errorf("%s has %d bytes, at most %d are read", d, desc.Size, maxContent)
	}
	text, err := content.ReadAll(body, desc)
	return desc, text, err
}

func tagAs(ctx context.Context, to *remote.Repository, d ocispec.Descriptor, tag string) error {
	if tag == d.Digest.String() {
		return nil
	}
	return to.Tag(ctx, d, tag)
}

// copyWithReferrers copies a manifest with all that it names, and what refers to it.
func copyWithReferrers(ctx context.Context, from, to *remote.Repository, d ocispec.Descriptor) error {
	return oras.ExtendedCopyGraph(ctx, from, to, d, oras.ExtendedCopyGraphOptions{Depth: 1})
}

// keptIndex is an index with some of its entries, everything else as it was.
type keptIndex struct {
	members map[string]json.RawMessage
	raw     []json.RawMessage
	entries []ocispec.Descriptor
}

// keptEntries keeps the wanted entries of an index, and the indexes within it, of which it
// is not known which they are in.
func keptEntries(body []byte, wanted map[digest.Digest]string) (*keptIndex, int, error) {
	k := &keptIndex{}
	if err := json.Unmarshal(body, &k.members); err != nil {
		return nil, 0, fmt.Errorf("read the index: %w", err)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(k.members["manifests"], &raw); err != nil {
		return nil, 0, fmt.Errorf("read the entries of the index: %w", err)
	}
	leftOut := 0
	for _, entry := range raw {
		var d ocispec.Descriptor
		if err := json.Unmarshal(entry, &d); err != nil {
			return nil, 0, fmt.Errorf("read an entry of the index: %w", err)
		}
		_, isWanted := wanted[d.Digest]
		_, isAbout := wanted[digest.Digest(d.Annotations["vnd.docker.reference.digest"])] // an attestation
		if !isWanted && !isAbout && !index.IsIndex(d.MediaType) {
			leftOut++
			continue
		}
		k.raw, k.entries = append(k.raw, entry), append(k.entries, d)
	}
	return k, leftOut, nil
}

// index writes the index with its origin.
func (k *keptIndex) index(origin string, leftOut int) ([]byte, error) {
	annotations := map[string]string{}
	if text, ok := k.members["annotations"]; ok {
		if err := json.Unmarshal(text, &annotations); err != nil {
			return nil, fmt.Errorf("read the annotations of the index: %w", err)
		}
	}
	annotations = maps.Clone(annotations)
	annotations[AnnotationMirrorOf], annotations[AnnotationLeftOut] = origin, fmt.Sprint(leftOut)
	members := maps.Clone(k.members)
	var err error
	if members["annotations"], err = json.Marshal(annotations); err != nil {
		return nil, err
	}
	if members["manifests"], err = json.Marshal(k.raw); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

// moveArtifacts attaches the compatibility artifacts of an index to the new one. Whatever
// else refers to the old index, such as a signature, is about that alone.
func moveArtifacts(ctx context.Context, from, to *remote.Repository, old, made ocispec.Descriptor) error {
	found, err := referrersOf(ctx, from, old)
	if err != nil {
		return err
	}
	for _, d := range found {
		_, body, err := fetchManifest(ctx, from, d.Digest)
		if err != nil {
			return err
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(body, &m); err != nil {
			return fmt.Errorf("read artifact %s: %w", d.Digest, err)
		}
		if !dialect.IsArtifactType(m.ArtifactType) && !dialect.IsArtifactType(m.Config.MediaType) {
			continue
		}
		for _, blob := range slices.Concat(m.Layers, []ocispec.Descriptor{m.Config}) {
			if err := oras.CopyGraph(ctx, from, to, blob, oras.DefaultCopyGraphOptions); err != nil {
				return fmt.Errorf("copy artifact %s: %w", d.Digest, err)
			}
		}
		m.Subject = &made
		m.Annotations = maps.Clone(m.Annotations)
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations[AnnotationMirrorOf] = d.Digest.String()
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		artifact := content.NewDescriptorFromBytes(d.MediaType, text)
		if err := to.Push(ctx, artifact, bytes.NewReader(text)); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
			return err
		}
	}
	return nil
}

// maxMirrored bounds the referrers of an index that are looked at.
const maxMirrored = 1_000

func referrersOf(ctx context.Context, from *remote.Repository, d ocispec.Descriptor) (all []ocispec.Descriptor, err error) {
	err = from.Referrers(ctx, d, "", func(page []ocispec.Descriptor) error {
		if all = append(all, page...); len(all) > maxMirrored {
			return fmt.Errorf("%s has more than %d referrers", d.Digest, maxMirrored)
		}
		return nil
	})
	return all, err
}
