package criproxy

import (
	"slices"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/names"
)

// present gives an image of the runtime's the names that the proxy keeps, and takes those
// away that are other images' by now. It reports whether that changed anything.
func (n *Names) present(image *runtimeapi.Image) bool {
	id := image.GetId()
	if id == "" {
		return false
	}
	tags, digests := slices.Clone(image.GetRepoTags()), slices.Clone(image.GetRepoDigests())
	anothers := func(ref string) bool {
		name, kept := n.Keeper.Get(ref)
		return kept && name.ImageID != id
	}
	tags = slices.DeleteFunc(tags, anothers)
	digests = slices.DeleteFunc(digests, func(ref string) bool { return anothers(ref) || n.hides(ref, id) })
	for _, name := range n.Keeper.Of(id) {
		switch {
		case isTag(name.Reference):
			tags = add(tags, name.Reference)
		default:
			digests = add(digests, name.Reference)
		}
	}
	pinned := image.GetPinned() || n.isPinned(id)
	if slices.Equal(tags, image.GetRepoTags()) && slices.Equal(digests, image.GetRepoDigests()) && pinned == image.GetPinned() {
		return false
	}
	image.RepoTags, image.RepoDigests, image.Pinned = tags, digests, pinned
	return true
}

// isPinned reports whether an image has a name by which it is pinned. CRI-O knows it by
// the digest of its manifest only.
func (n *Names) isPinned(id string) bool {
	return n.IsPinned != nil && slices.ContainsFunc(n.Keeper.Of(id), func(name names.Name) bool { return n.IsPinned(name.Reference) })
}

func add(all []string, one string) []string {
	if slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}

// hides reports whether a name of an image is only there because the image was pulled
// under it in the place of the index that it was chosen from.
func (n *Names) hides(ref, imageID string) bool {
	repository, manifest, byDigest := strings.Cut(ref, "@")
	if !byDigest {
		return false
	}
	hidden := false
	for _, name := range n.Keeper.Of(imageID) {
		if name.Reference == ref {
			return false
		}
		if name.Index != "" && name.Manifest.String() == manifest && repositoryOf(name.Reference) == repository {
			hidden = true
		}
	}
	return hidden
}

// repositoryOf is a normalised reference without its tag or digest.
func repositoryOf(ref string) string {
	repository, _, _ := strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(repository, ':'); colon > strings.LastIndexByte(repository, '/') {
		repository = repository[:colon]
	}
	return repository
}
