package runtimetest

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func pullByTag(t *testing.T, c client) {
	app := c.Push(t, "app", 2)
	if id := c.pull(t, app.Name()); id != app.IDs[0] {
		t.Errorf("the pull returned %s, want the first image, %s", id, app.IDs[0])
	}
	for _, ref := range []string{app.Name(), app.IDs[0], app.At(app.Index)} {
		c.wantID(t, ref, app.IDs[0])
	}
	image := c.status(t, app.Name())
	if !slices.Contains(image.GetRepoTags(), app.Name()) || !slices.Contains(image.GetRepoDigests(), app.At(app.Index)) {
		t.Errorf("tags %v and digests %v, want %s and %s among them", image.GetRepoTags(), image.GetRepoDigests(), app.Name(), app.At(app.Index))
	}
	if target := c.get(t, app.Name()).GetTarget().GetDigest(); target != app.Index.Digest.String() {
		t.Errorf("the record points at %s, want the index, %s", target, app.Index.Digest)
	}
	if !slices.Contains(c.list(t), app.IDs[0]) {
		t.Errorf("the list lacks %s", app.IDs[0])
	}
}

func pullByDigest(t *testing.T, c client) {
	app := c.Push(t, "app", 2)
	ref := app.At(app.Manifests[1])
	if id := c.pull(t, ref); id != app.IDs[1] {
		t.Errorf("the pull returned %s, want %s", id, app.IDs[1])
	}
	c.wantID(t, ref, app.IDs[1])
	c.wantID(t, app.IDs[1], app.IDs[1])
	c.wantID(t, app.Name(), "")
	if tags := c.status(t, ref).GetRepoTags(); len(tags) > 0 {
		t.Errorf("the image has the tags %v", tags)
	}
}

func pullSingle(t *testing.T, c client) {
	app := c.Push(t, "app", 1)
	ref := app.Repository + ":single"
	if id := c.pull(t, ref); id != app.SingleID {
		t.Errorf("the pull returned %s, want %s", id, app.SingleID)
	}
	c.wantID(t, ref, app.SingleID)
}

func pullMissing(t *testing.T, c client) {
	app := c.Push(t, "app", 1)
	for _, ref := range []string{app.Repository + ":none", app.Repository + "@" + missing().String()} {
		_, err := c.cri.PullImage(c.ctx, &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
		wantCode(t, "pull "+ref, err, codes.NotFound)
		c.wantID(t, ref, "")
	}
}

func statusMissing(t *testing.T, c client) {
	app := c.Push(t, "app", 1)
	for _, ref := range []string{app.Name(), app.At(app.Index), missing().String()} {
		if image := c.status(t, ref); image != nil {
			t.Errorf("status of %s is %v", ref, image)
		}
	}
}

func removeMissing(t *testing.T, c client) {
	app := c.Push(t, "app", 1)
	for _, ref := range []string{app.Name(), missing().String()} {
		if _, err := c.cri.RemoveImage(c.ctx, &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}}); err != nil {
			t.Errorf("remove %s: %v", ref, err)
		}
	}
}

func remove(t *testing.T, c client) {
	app := c.Push(t, "app", 2)
	c.pull(t, app.Name())
	c.pull(t, app.At(app.Manifests[0]))
	c.pull(t, app.At(app.Manifests[1]))
	if _, err := c.cri.RemoveImage(c.ctx, &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: app.Name()}}); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{app.Name(), app.At(app.Index), app.At(app.Manifests[0]), app.IDs[0]} {
		c.wantID(t, ref, "")
	}
	c.wantID(t, app.At(app.Manifests[1]), app.IDs[1])
	if list := c.list(t); slices.Contains(list, app.IDs[0]) || !slices.Contains(list, app.IDs[1]) {
		t.Errorf("the list is %v, want %s gone and %s there", list, app.IDs[0], app.IDs[1])
	}
}

// list is the ids of all images.
func (c client) list(t *testing.T) []string {
	t.Helper()
	answer, err := c.cri.ListImages(c.ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, image := range answer.GetImages() {
		ids = append(ids, image.GetId())
	}
	return ids
}
