package integration

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// Our labels on image records, as pkg/criproxy writes them.
const (
	labelIndex    = "imagefit.io/index"
	labelManifest = "imagefit.io/manifest"
)

// picture draws both sides, a line for each reference that there is:
//
//	app:1 -> v3: v3, chosen from INDEX
//
// is an image record on the manifest v3, whose labels say of which index it is,
// and which CRI resolves to the image v3, lists under it, and streams so. A name that
// the proxy keeps has no record. What disagrees is appended.
func (s *scene) picture(t *testing.T) string {
	t.Helper()
	records, content := s.sceneRecords(t), s.content(t)
	listed := s.listed(t)
	all := maps.Clone(s.asked)
	for ref := range records {
		all[ref] = true
	}
	for ref := range listed {
		all[ref] = true
	}
	var lines []string
	for _, ref := range slices.Sorted(maps.Keys(all)) {
		shown, record := s.shown(t, ref), records[ref]
		line := ref + " -> "
		switch {
		case record != nil:
			line += s.describe(record, shown, content)
		case shown == "" && listed[ref] == "", s.sameAsDigest(t, ref, shown):
			continue
		default:
			line += "kept: " + cmp.Or(shown, "nothing")
		}
		switch listed[ref] {
		case shown:
		case "":
			line += ", not listed"
		default:
			line += fmt.Sprintf(", listed under %q", listed[ref])
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// sameAsDigest tells the spelling with tag and digest, which has no record of its
// own, where it is what the digest alone is.
func (s *scene) sameAsDigest(t *testing.T, ref, shown string) bool {
	tagged, name, found := strings.Cut(ref, "@")
	return found && strings.Contains(tagged, ":") && s.shown(t, "app@"+name) == shown
}

func (s *scene) sceneRecords(t *testing.T) map[string]*imagesapi.Image {
	t.Helper()
	records, err := s.containerd.Records(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]*imagesapi.Image{}
	for _, record := range records {
		name, target := record.GetName(), record.GetTarget().GetDigest()
		if short := s.short(name); short != "" {
			of[short] = record
		}
		if _, digest, ok := strings.Cut(name, "@"); ok && digest != target {
			t.Errorf("the record %s is not true: its target is %s", name, target)
		}
	}
	return of
}

func (s *scene) content(t *testing.T) map[digest.Digest]bool {
	t.Helper()
	content, err := s.containerd.Content(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// describe says what a record points at and what its labels claim.
func (s *scene) describe(record *imagesapi.Image, shown string, content map[digest.Digest]bool) string {
	target := digest.Digest(record.GetTarget().GetDigest())
	text := cmp.Or(s.names[target], target.String())
	if !content[target] {
		text += " (not there)"
	}
	text += ": " + cmp.Or(shown, "nothing")
	index, manifest := record.GetLabels()[labelIndex], record.GetLabels()[labelManifest]
	switch name := s.names[digest.Digest(index)]; {
	case index == "" && manifest == "":
		return text
	case manifest != target.String():
		return text + ", labels outdated"
	case !slices.ContainsFunc(s.indexes[name], func(d ocispec.Descriptor) bool { return d.Digest == target }):
		return text + ", labels lie"
	default:
		return text + ", chosen from " + name
	}
}

// views are the clients that must agree at all times: what the scene's client sees, in
// the list, in the stream and by name.
func (s *scene) views() map[string]*stack.CRI {
	if s.Proxy.Running() && !s.alone {
		return map[string]*stack.CRI{"the proxy": s.cri}
	}
	return map[string]*stack.CRI{"containerd": s.containerd.CRI}
}

// shown is the image that CRI resolves a reference to, "" for none.
func (s *scene) shown(t *testing.T, short string) string {
	t.Helper()
	seen := map[string]bool{}
	for view, cri := range s.views() {
		image, err := cri.Status(ctx(t), s.ref(short))
		if err != nil && !errors.Is(err, stack.ErrNoImage) {
			t.Fatalf("%s' status of %s: %v", view, short, err)
		}
		name := s.names[digest.Digest(image.GetId())]
		if err == nil && image.GetUid().GetValue() != 1000 {
			name += " as root"
		}
		seen[name] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), " or ")
}

// listed are the images that CRI lists, by their tags, digests and ids. Where two
// lists differ both are named: that may be so for a moment, not for long.
func (s *scene) listed(t *testing.T) map[string]string {
	t.Helper()
	var lists []map[string]string
	all := map[string]string{}
	for view, cri := range s.views() {
		for how, list := range map[string]func() ([]*runtimeapi.Image, error){
			"lists":   func() ([]*runtimeapi.Image, error) { return cri.List(ctx(t)) },
			"streams": func() ([]*runtimeapi.Image, error) { return cri.Stream(ctx(t)) },
		} {
			images, err := list()
			if how == "streams" && status.Code(err) == codes.Unimplemented {
				continue // older than containerd 2.4
			}
			if err != nil {
				t.Fatalf("%s %s no images: %v", view, how, err)
			}
			lists = append(lists, s.namesOf(images))
			maps.Copy(all, lists[len(lists)-1])
		}
	}
	for ref := range all {
		seen := map[string]bool{}
		for _, list := range lists {
			seen[list[ref]] = true
		}
		all[ref] = strings.Join(slices.Sorted(maps.Keys(seen)), " or ")
	}
	return all
}

func (s *scene) namesOf(images []*runtimeapi.Image) map[string]string {
	names := map[string]string{}
	for _, image := range images {
		for _, ref := range slices.Concat(image.GetRepoTags(), image.GetRepoDigests(), []string{image.GetId()}) {
			if short := s.short(ref); short != "" {
				names[short] = s.names[digest.Digest(image.GetId())]
			}
		}
	}
	return names
}

// shape is what remains of a picture when it does not matter which variant it
// shows: every name that a pod may give to what was pushed, tags and indexes, with
// a letter for each image, and how many images are left that have no tag.
func (s *scene) shape(t *testing.T) string {
	t.Helper()
	letters := map[string]string{"": "gone"}
	var words []string
	for _, short := range slices.Sorted(maps.Keys(s.asked)) {
		_, name, byDigest := strings.Cut(short, "@")
		if strings.HasPrefix(short, "id:") || byDigest && s.indexes[name] == nil {
			continue
		}
		image := s.shown(t, short)
		if letters[image] == "" {
			letters[image] = string(rune('A' + len(letters) - 1))
		}
		words = append(words, short+" "+letters[image])
	}
	tagged, images := map[string]bool{}, map[string]bool{}
	for ref, image := range s.listed(t) {
		images[image] = true
		tagged[image] = tagged[image] || strings.HasPrefix(ref, "app:")
	}
	for image := range images {
		if tagged[image] {
			delete(images, image)
		}
	}
	return fmt.Sprintf("%s, %d without a tag", strings.Join(words, ", "), len(images))
}
