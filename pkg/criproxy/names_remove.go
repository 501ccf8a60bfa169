package criproxy

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/names"
)

func (n *Names) removeImage(stream grpc.ServerStream) error {
	const method = runtimeapi.ImageService_RemoveImage_FullMethodName
	ctx, req := stream.Context(), new(runtimeapi.RemoveImageRequest)
	frame, plain, err := n.receive(stream, req)
	if err != nil {
		return err
	}
	defer func() { frame.Free() }()
	if plain {
		return n.Runtime.Call(ctx, method, frame).Send(stream)
	}
	ref := req.GetImage().GetImage()
	name, kept := n.kept(ref)
	image := &runtimeapi.Image{Id: name.ImageID}
	if n.Untags() || !kept {
		image = n.imageOf(ctx, name.ImageID, ref)
	}
	switch {
	case n.Untags() && kept && n.isNamed(image, name.Reference):
		return stream.SendMsg(n.forgetName(ctx, name, image))
	case n.Untags() && !kept && n.hides(ref, image.GetId()):
		return stream.SendMsg(&runtimeapi.RemoveImageResponse{}) // it is not a name that the client knows
	case kept:
		req.Image.Image = name.ImageID
		changed, err := frameOf(req)
		if err != nil {
			return err
		}
		frame.Free()
		frame = changed
	}
	answer := n.Runtime.Call(ctx, method, frame)
	if answer.Err == nil {
		n.removed(ctx, image.GetId())
	}
	return answer.Send(stream)
}

// imageOf returns the runtime's image of an id, or else of a reference, as the runtime has
// it; an empty one where it cannot tell.
func (n *Names) imageOf(ctx context.Context, id, ref string) *runtimeapi.Image {
	if id != "" {
		ref = id
	}
	image, err := n.Records.Image(ctx, ref)
	if err != nil || image == nil {
		return &runtimeapi.Image{Id: id}
	}
	return image
}

// forgetName removes one name of an image that has others. What the image is only implied
// to be called stays as long as those.
func (n *Names) forgetName(ctx context.Context, name names.Name, image *runtimeapi.Image) *runtimeapi.RemoveImageResponse {
	if name.Implied {
		return &runtimeapi.RemoveImageResponse{}
	}
	if slices.Contains(image.GetRepoTags(), name.Reference) {
		if err := n.remove(ctx, name.Reference); err != nil {
			n.Log.Warn("cannot remove a name of an image from the runtime", "reference", name.Reference, "error", err)
		}
	}
	n.forget(ctx, name.Reference)
	return &runtimeapi.RemoveImageResponse{}
}

// removed forgets the names of an image that a client has removed. Where the runtime has
// removed a name of it and nothing is left but what is implied, the image goes too.
func (n *Names) removed(ctx context.Context, id string) {
	image, err := n.Records.Image(ctx, id)
	switch {
	case id == "" || err != nil:
	case image.GetId() == "":
		_ = n.gone(ctx, id) // or else the next look-up finds it
	case n.Untags() && len(n.Keeper.Of(id)) > 0 && !n.isNamed(image, ""):
		if err := n.remove(ctx, id); err == nil {
			_ = n.gone(ctx, id)
		}
	}
}

// isNamed reports whether an image of the runtime has a name that something was pulled by,
// beside one.
func (n *Names) isNamed(image *runtimeapi.Image, beside string) bool {
	id := image.GetId()
	for _, name := range n.Keeper.Of(id) {
		if name.Reference != beside && !name.Implied {
			return true
		}
	}
	own := func(ref string) bool {
		name, kept := n.Keeper.Get(ref)
		return ref != beside && (!kept || name.ImageID == id && !name.Implied) && !n.hides(ref, id)
	}
	return slices.ContainsFunc(image.GetRepoTags(), own) || slices.ContainsFunc(image.GetRepoDigests(), own)
}

// dropStale removes a record of the runtime's whose tag the proxy keeps, unless it says
// what the registry does.
func (n *Names) dropStale(ctx context.Context, ref string, index digest.Digest) {
	target, err := n.Records.TargetOf(ctx, ref)
	if err == nil && target != "" && target != index {
		err = n.Records.Remove(ctx, ref, target)
	}
	if err != nil && !isUnimplemented(err) {
		n.Log.Warn("cannot remove an outdated image record; others may read it", "reference", ref, "error", err)
	}
}

// untag removes a tag that the proxy keeps for an image from another image that the runtime
// has under it, where the runtime removes a name at a time: when the image is removed, the
// other one must not be found in its place.
func (n *Names) untag(ctx context.Context, ref, imageID string) {
	if !n.Untags() {
		return
	}
	image, err := n.Records.Image(ctx, ref)
	if err != nil || image.GetId() == imageID || !slices.Contains(image.GetRepoTags(), ref) {
		return
	}
	if err := n.remove(ctx, ref); err != nil { // as of an image in use
		n.Log.Debug("cannot take the name of an earlier image from it", "reference", ref, "image", image.GetId(), "error", err)
	}
}

// remove makes the runtime remove an image, or a name of one.
func (n *Names) remove(ctx context.Context, ref string) error {
	request, err := frameOf(&runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	if err != nil {
		return err
	}
	answer := n.Runtime.Call(ctx, runtimeapi.ImageService_RemoveImage_FullMethodName, request)
	if answer.Err == nil {
		answer.Message.Free()
	}
	return answer.Err
}
