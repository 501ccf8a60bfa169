package publish

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// BaseOf returns the reference of the image that a manifest says that it is built on:
// by digest where it states one, since the tag may have moved on. It is nil for a
// manifest that names none.
func BaseOf(m ocispec.Manifest) (reference.Named, error) {
	name := m.Annotations[ocispec.AnnotationBaseImageName]
	if name == "" {
		return nil, nil //nolint:nilnil // most images name none
	}
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return nil, fmt.Errorf("%s is %s: %w", ocispec.AnnotationBaseImageName, textutil.Quote(name), err)
	}
	if d := digest.Digest(m.Annotations[ocispec.AnnotationBaseImageDigest]); d.Validate() == nil {
		return reference.WithDigest(reference.TrimNamed(named), d)
	}
	return named, nil
}

// Base is what a base image needs.
type Base struct {
	Reference  reference.Named
	Attributes []compat.Attribute
	Notes      []string // what is not taken over, and why
}

// ReadBase looks up what a base image needs on a platform.
func ReadBase(ctx context.Context, repo *registry.Repository, named reference.Named, platform *ocispec.Platform, specs []spec.Spec) (*Base, error) {
	base := &Base{Reference: named}
	img, err := attach.ReadImage(ctx, repo, named)
	if err != nil {
		return nil, fmt.Errorf("read the base image %s: %w", named, err)
	}
	subjects := []ocispec.Descriptor{img.Top}
	if img.IsIndex() && platform != nil {
		own, err := img.Subject(index.PlatformName(platform), attach.None)
		if err != nil {
			base.Notes = append(base.Notes, err.Error())
			return base, nil
		}
		subjects = []ocispec.Descriptor{own.Descriptor, img.Top}
	}
	var found []referrers.Artifact
	for _, subject := range subjects {
		on, err := referrers.Discover(ctx, repo, subject)
		if err != nil {
			return nil, fmt.Errorf("look up what the base image %s needs: %w", named, err)
		}
		for _, a := range on.Current() { // of the index only what the variant has none of applies
			if !slices.ContainsFunc(found, func(b referrers.Artifact) bool { return a.Kind() == b.Kind() }) {
				found = append(found, a)
			}
		}
	}
	for _, a := range found {
		base.read(a, specs)
	}
	return base, nil
}

// read takes the attributes of one artifact.
func (b *Base) read(a referrers.Artifact, specs []spec.Spec) {
	if a.Problem != "" {
		b.Notes = append(b.Notes, fmt.Sprintf("artifact %s of the base image cannot be read: %s", a.Manifest, a.Problem))
		return
	}
	attributes, lost, err := attributesOf(specs, a.Body)
	if err != nil {
		b.Notes = append(b.Notes, fmt.Sprintf("artifact %s of the base image cannot be read: %s", a.Manifest, textutil.Short(err.Error())))
		return
	}
	for _, text := range lost {
		b.Notes = append(b.Notes, "not taken over from the base image: "+text)
	}
	b.Attributes = append(b.Attributes, attributes...)
}

// attributesOf reads a body of any dialect as attributes.
func attributesOf(specs []spec.Spec, body []byte) (attributes []compat.Attribute, lost []string, err error) {
	written, err := convert.Body(specs, body, dialect.ProposalF)
	if err != nil {
		return nil, nil, err
	}
	root, err := document.ParseJSON(written.Body)
	if err != nil {
		return nil, nil, err
	}
	d, _ := dialect.Named(dialect.ProposalF)
	for _, scope := range d.Attributes(root) {
		attributes = append(attributes, scope.Plain()...)
	}
	return attributes, written.Lost, nil
}

// Merge adds what the base image needs to what the new image states. What both speak
// of, the new image replaces; of two x86-64 levels the higher one counts, since the
// programs of the base image are still there. It says what was taken over.
func Merge(own, base []compat.Attribute) (merged []compat.Attribute, taken []string) {
	merged = slices.Clone(own)
	for _, a := range base {
		text := a.Key + "=" + a.Value
		i := slices.IndexFunc(merged, func(o compat.Attribute) bool { return topic(o) == topic(a) })
		switch {
		case i < 0:
			merged = append(merged, a)
			taken = append(taken, text)
		case level(a) > level(merged[i]) && level(merged[i]) > 0:
			taken = append(taken, text+" in place of "+merged[i].Value)
			merged[i] = a
		}
	}
	return merged, taken
}

// topic is what an attribute is about: the same key in any group, for the groups of a
// key have several names.
func topic(a compat.Attribute) string {
	switch key := strings.TrimPrefix(a.Key, "cpu."); key {
	case "target":
		return key
	default:
		return a.Key
	}
}

// level is that of an x86-64 target, 0 of anything else.
func level(a compat.Attribute) int {
	if topic(a) != "target" || !strings.HasPrefix(a.Value, "x86_64") {
		return 0
	}
	rest, ok := strings.CutPrefix(a.Value, "x86_64_v")
	if n, err := strconv.Atoi(rest); ok && err == nil {
		return n
	}
	if a.Value == "x86_64" {
		return 1
	}
	return 0
}

// WithBase writes the attributes of a body and of its base image as one body. It
// reports false where the body has what attributes cannot express.
func WithBase(specs []spec.Spec, body []byte, base *Base) (merged []byte, taken []string, ok bool, err error) {
	own, lost, err := attributesOf(specs, body)
	if err != nil || len(lost) > 0 {
		return body, nil, false, err
	}
	attributes, taken := Merge(own, base.Attributes)
	if len(taken) == 0 {
		return body, nil, true, nil
	}
	written, err := convert.Attributes(specs, attributes, dialect.ProposalF)
	if err != nil {
		return nil, nil, false, err
	}
	return written.Body, taken, true, nil
}
