package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// Image is what a reference names in a registry.
type Image struct {
	Reference reference.Named
	Top       ocispec.Descriptor
	Entries   []index.Entry // of an index, in its order
}

// Subject is what an artifact is about.
type Subject struct {
	Descriptor ocispec.Descriptor
	// Entry is the position in the index, or None for the index itself and for
	// an image without one.
	Entry int
}

// None is the position of what is not an entry of an index.
const None = -1

// ReadImage asks the registry what the reference is. It is one request.
func ReadImage(ctx context.Context, repo *registry.Repository, named reference.Named) (*Image, error) {
	top, body, err := repo.Fetch(ctx, registry.TagOrDigest(named))
	if err != nil {
		return nil, err
	}
	img := &Image{Reference: named, Top: top}
	switch {
	case index.IsManifest(top.MediaType):
		return img, nil
	case !index.IsIndex(top.MediaType):
		return nil, fmt.Errorf("%s is neither an image nor an index (media type %.100q)", named, top.MediaType)
	}
	if img.Entries, err = index.Parse(body); err != nil {
		return nil, fmt.Errorf("read index %s: %w", named, err)
	}
	return img, nil
}

// IsIndex reports whether the reference is an index.
func (img *Image) IsIndex() bool { return index.IsIndex(img.Top.MediaType) }

// Subjects lists the entries that artifacts may be attached to.
func (img *Image) Subjects() []Subject {
	var subjects []Subject
	for i, e := range img.Entries {
		if e.IsSubject() {
			subjects = append(subjects, Subject{e.Descriptor, i})
		}
	}
	return subjects
}

// Subject picks what an artifact is to be about: the entry at a position, or the
// one entry for a platform such as "linux/amd64/v3"; without either (None, "")
// it is what the reference names.
func (img *Image) Subject(platform string, entry int) (Subject, error) {
	switch {
	case platform == "" && entry == None:
		return Subject{Descriptor: img.Top, Entry: None}, nil
	case platform != "" && entry != None:
		return Subject{}, errors.New("pick by platform or by position, not by both")
	case !img.IsIndex():
		return Subject{}, fmt.Errorf("%s is a single image, not an index with entries to pick from", img.Reference)
	case entry != None:
		return img.at(entry)
	default:
		return img.forPlatform(platform)
	}
}

func (img *Image) at(entry int) (Subject, error) {
	if entry < 0 || entry >= len(img.Entries) {
		return Subject{}, fmt.Errorf("%s has no entry %d, only 0 to %d", img.Reference, entry, len(img.Entries)-1)
	}
	if !img.Entries[entry].IsSubject() {
		return Subject{}, fmt.Errorf("entry %d of %s is not an image", entry, img.Reference)
	}
	return Subject{Descriptor: img.Entries[entry].Descriptor, Entry: entry}, nil
}

func (img *Image) forPlatform(platform string) (Subject, error) {
	if !strings.Contains(platform, "/") { // platforms.Parse would guess the rest from this host
		return Subject{}, fmt.Errorf("platform %q is not OS/ARCH or OS/ARCH/VARIANT", platform)
	}
	want, err := platforms.Parse(platform)
	if err != nil {
		return Subject{}, fmt.Errorf("read platform %q: %w", platform, err)
	}
	var matching, others []string
	found := None
	for i, e := range img.Entries {
		switch {
		case !e.IsSubject() || e.Platform == nil:
		case samePlatform(want, *e.Platform):
			found = i
			matching = append(matching, fmt.Sprint(i))
		default:
			others = append(others, index.PlatformName(e.Platform))
		}
	}
	switch {
	case len(matching) == 0 && len(others) == 0:
		return Subject{}, fmt.Errorf("%s has no entry that states a platform: pick one by its position", img.Reference)
	case len(matching) == 0:
		return Subject{}, fmt.Errorf("%s has no entry for %s, only for %s", img.Reference, platform, namesOf(others))
	case len(matching) == 1:
		return img.at(found)
	default:
		return Subject{}, fmt.Errorf("%s has several entries for %s: pick one of the positions %s",
			img.Reference, platform, strings.Join(matching, ", "))
	}
}

func namesOf(platforms []string) string {
	slices.Sort(platforms)
	platforms = slices.Compact(platforms)
	const most = 16
	if len(platforms) > most {
		platforms = append(platforms[:most], fmt.Sprintf("and %d more", len(platforms)-most))
	}
	return strings.Join(platforms, ", ")
}

// samePlatform compares as exactly as the platform was asked for; only the
// version of an operating system may be left out.
func samePlatform(want, have ocispec.Platform) bool {
	want, have = platforms.Normalize(want), platforms.Normalize(have)
	return want.OS == have.OS && want.Architecture == have.Architecture && want.Variant == have.Variant &&
		(want.OSVersion == "" || want.OSVersion == have.OSVersion)
}
