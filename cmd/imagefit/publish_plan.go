package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/author/inspect"
	"github.com/imagefit/imagefit/pkg/author/publish"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// planned is one artifact that is to be attached, or why there is none.
type planned struct {
	Image    string           `json:"image"`
	Variant  string           `json:"variant"` // a platform, or what else is the subject
	Subject  digest.Digest    `json:"subject"`
	Needs    []string         `json:"needs,omitempty"` // each with where it comes from
	Notes    []string         `json:"notes,omitempty"`
	Skipped  string           `json:"skipped,omitempty"` // why nothing is attached
	Digest   digest.Digest    `json:"digest,omitempty"`  // of the artifact
	Replaced *attach.Replaced `json:"replaced,omitempty"`
	Error    string           `json:"error,omitempty"`

	at      place
	subject attach.Subject
	body    *attach.Body
}

// image plans what is attached to one image.
func (p *publishing) image(ctx context.Context, name string) error {
	at, err := find(ctx, p.reg, name)
	if err != nil {
		return err
	}
	img, err := attach.ReadImage(ctx, at.repo, at.named)
	if err != nil {
		return err
	}
	if len(p.files) > 0 {
		return p.fromFiles(ctx, img, at)
	}
	remote := inspect.NewRemote(at.named, at.auth, registry.UserAgent(cli.BuildVersion(version)))
	defer remote.Close()
	fetcher := &publish.Fetcher{Repo: at.repo, From: remote}
	variants, err := inspect.Variants(ctx, remote, img.Top)
	if err != nil {
		return fmt.Errorf("%s: %w", at.named, err)
	}
	found := false
	for i, variant := range variants {
		subject := attach.Subject{Descriptor: variant, Entry: attach.None}
		if img.IsIndex() {
			subject.Entry = i
		}
		item := p.item(at, img, subject)
		if len(p.platforms) > 0 && !slices.Contains(p.platforms, item.Variant) {
			continue
		}
		found = true
		if err := p.look(ctx, fetcher, item); err != nil {
			return fmt.Errorf("%s, %s: %w", at.named, item.Variant, err)
		}
	}
	if !found {
		return fmt.Errorf("%s has no variant for %s", at.named, strings.Join(p.platforms, ", "))
	}
	return nil
}

// item adds a subject to the plan.
func (p *publishing) item(at place, img *attach.Image, subject attach.Subject) *planned {
	item := &planned{Image: at.named.String(), Subject: subject.Descriptor.Digest, at: at, subject: subject, Variant: "the image"}
	switch {
	case subject.Descriptor.Platform != nil:
		item.Variant = index.PlatformName(subject.Descriptor.Platform)
	case subject.Entry != attach.None:
		item.Variant = fmt.Sprintf("variant %d", subject.Entry)
	case img.IsIndex():
		item.Variant = fmt.Sprintf("the index, of %s", counted(len(img.Subjects()), "image"))
	}
	p.plan = append(p.plan, item)
	return item
}

// fromFiles plans to attach the files to the image, or to the variants that each is for.
func (p *publishing) fromFiles(ctx context.Context, img *attach.Image, at place) error {
	for _, f := range p.files {
		subjects := []attach.Subject{}
		for _, platform := range f.platforms {
			s, err := img.Subject(platform, attach.None)
			if inner, ok := p.inner(ctx, img, at, platform); err != nil && ok {
				s, err = inner, nil
			}
			if err != nil {
				return err
			}
			subjects = append(subjects, s)
		}
		if f.platforms == nil {
			subjects = append(subjects, attach.Subject{Descriptor: img.Top, Entry: attach.None})
		}
		for _, s := range subjects {
			item := p.item(at, img, s)
			body := f.body
			item.body = &body
			for i := range body.Requirements {
				item.Needs = append(item.Needs, fmt.Sprintf("%s: %s", body.Requirements[i].Want(), f.name))
			}
			if err := p.addBase(ctx, item); err != nil {
				return err
			}
		}
	}
	return nil
}

// inner finds the one variant for a platform in the indexes within an index.
func (p *publishing) inner(ctx context.Context, img *attach.Image, at place, platform string) (attach.Subject, bool) {
	if !slices.ContainsFunc(img.Entries, func(e index.Entry) bool { return index.IsIndex(e.MediaType) }) {
		return attach.Subject{}, false
	}
	remote := inspect.NewRemote(at.named, at.auth, registry.UserAgent(cli.BuildVersion(version)))
	defer remote.Close()
	variants, err := inspect.Variants(ctx, remote, img.Top)
	if err != nil {
		return attach.Subject{}, false
	}
	var found []attach.Subject
	for i, v := range variants {
		if v.Platform != nil && index.PlatformName(v.Platform) == platform {
			found = append(found, attach.Subject{Descriptor: v, Entry: i})
		}
	}
	if len(found) != 1 {
		return attach.Subject{}, false
	}
	return found[0], true
}

// look finds out what a variant needs, and makes a body of it.
func (p *publishing) look(ctx context.Context, f *publish.Fetcher, item *planned) error {
	p.step(fmt.Sprintf("inspect %s, %s", item.Image, item.Variant))
	m, err := f.Manifest(ctx, item.subject.Descriptor)
	if errors.Is(err, publish.ErrNotImage) {
		item.Skipped = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	platform, err := f.Platform(ctx, item.subject.Descriptor, m)
	if err != nil {
		return err
	}
	if platform.OS != "linux" {
		item.Skipped = fmt.Sprintf("it is for %s, and only programs for Linux are inspected", platform.OS)
		return nil
	}
	contents, err := f.Inspect(ctx, item.subject.Descriptor, m, p.step)
	if err != nil {
		return err
	}
	needs, notes := contents.Needs(inspect.Options{})
	item.Notes = notes
	for _, n := range needs {
		for _, a := range n.Attributes {
			item.Needs = append(item.Needs, fmt.Sprintf("%s=%s: %s", a.Key, a.Value, n.Because))
		}
	}
	attributes := inspect.AttributesOf(needs)
	base, err := p.baseOf(ctx, item, m, platform)
	if err != nil {
		return err
	}
	if base != nil {
		var taken []string
		attributes, taken = publish.Merge(attributes, base.Attributes)
		for _, t := range taken {
			item.Needs = append(item.Needs, fmt.Sprintf("%s: the base image %s", t, base.Reference))
		}
		item.Notes = append(item.Notes, base.Notes...)
	}
	if len(attributes) == 0 {
		item.Skipped = "nothing was found to ask for"
		return nil
	}
	written, err := convert.Attributes(p.known, attributes, p.dialect)
	if err != nil {
		return err
	}
	item.Notes = append(item.Notes, written.Notes...)
	for _, lost := range written.Lost {
		item.Notes = append(item.Notes, "lost: "+lost)
	}
	body, err := p.reader.read(item.Image+" "+item.Variant, "", written.Body)
	item.body = &body
	return err
}

// addBase adds to a file what the base image of its variant needs.
func (p *publishing) addBase(ctx context.Context, item *planned) error {
	if p.noBase {
		return nil
	}
	if index.IsIndex(item.subject.Descriptor.MediaType) {
		item.Notes = append(item.Notes, "the base images are not looked at: the file is for the index as a whole")
		return nil
	}
	fetcher := &publish.Fetcher{Repo: item.at.repo}
	m, err := fetcher.Manifest(ctx, item.subject.Descriptor)
	if err != nil {
		return err
	}
	platform, err := fetcher.Platform(ctx, item.subject.Descriptor, m)
	if err != nil {
		return err
	}
	base, err := p.baseOf(ctx, item, m, platform)
	if err != nil || base == nil {
		return err
	}
	item.Notes = append(item.Notes, base.Notes...)
	merged, taken, ok, err := publish.WithBase(p.known, item.body.Bytes, base)
	switch {
	case err != nil:
		return err
	case !ok:
		item.Notes = append(item.Notes, fmt.Sprintf("what the base image %s needs is not added: the file has what attributes cannot express", base.Reference))
		return nil
	case len(taken) == 0:
		return nil
	}
	for _, t := range taken {
		item.Needs = append(item.Needs, fmt.Sprintf("%s: the base image %s", t, base.Reference))
	}
	p.reader.dialect = dialect.ProposalF
	body, err := p.reader.read(item.Image+" "+item.Variant, item.body.Title, merged)
	item.body = &body
	return err
}

// baseOf looks up what the base image of a variant needs, if it has one.
func (p *publishing) baseOf(ctx context.Context, item *planned, m ocispec.Manifest, platform *ocispec.Platform) (*publish.Base, error) {
	if p.noBase {
		return nil, nil //nolint:nilnil // it is not wanted
	}
	named, err := publish.BaseOf(m)
	if p.base != "" {
		named, err = reference.ParseDockerRef(p.base)
	}
	if err != nil || named == nil {
		return nil, err
	}
	at, err := find(ctx, p.reg, named.String())
	if err != nil {
		return nil, err
	}
	base, err := publish.ReadBase(ctx, at.repo, named, platform, p.known)
	if err != nil && p.base == "" && errors.Is(err, registry.ErrNotFound) {
		item.Notes = append(item.Notes, fmt.Sprintf("the base image %s is not there any more", named))
		return nil, nil //nolint:nilnil // what is gone needs nothing
	}
	return base, err
}
