package criproxy

import (
	"context"
	"errors"
	"time"

	"github.com/distribution/reference"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/names"
)

// Handlers answer the calls that have names of images in them. While the proxy keeps no
// name they forward every call as it came.
func (n *Names) Handlers() map[string]Handler {
	return map[string]Handler{
		runtimeapi.ImageService_ImageStatus_FullMethodName:  n.imageStatus,
		runtimeapi.ImageService_ListImages_FullMethodName:   n.listImages,
		runtimeapi.ImageService_StreamImages_FullMethodName: n.streamImages,
		runtimeapi.ImageService_RemoveImage_FullMethodName:  n.removeImage,

		runtimeapi.RuntimeService_CreateContainer_FullMethodName: n.createContainer,
	}
}

// receive receives the one request of a call, and decodes it into req where there are
// names to think of.
func (n *Names) receive(stream grpc.ServerStream, req proto.Message) (frame *cri.Frame, plain bool, err error) {
	frame = new(cri.Frame)
	if err := stream.RecvMsg(frame); err != nil {
		return nil, false, err
	}
	if err := n.Keeper.Load(stream.Context()); err != nil {
		if n.notLoaded.Allow() && !errors.Is(err, context.Canceled) {
			n.Log.Warn("cannot load the names of images, answering with the runtime's", "error", err)
		}
		return frame, true, nil
	}
	// What cannot be decoded is for the runtime to refuse.
	return frame, n.Keeper.Len() == 0 || frame.Decode(req) != nil, nil
}

// kept returns the name that a reference, in whatever spelling, stands for.
func (n *Names) kept(ref string) (names.Name, bool) {
	if name, kept := n.Keeper.Get(ref); kept {
		return name, true
	}
	named := n.normalised(ref)
	if named == nil {
		return names.Name{}, false
	}
	return n.Keeper.Get(named.String())
}

// normalised is a reference as the runtime understands it, nil for what is none. CRI-O may
// find a short name in any of several registries.
func (n *Names) normalised(ref string) reference.Named {
	if n.FullName != nil {
		ref = n.FullName(ref)
	}
	named, err := reference.ParseDockerRef(ref)
	if err != nil || n.Untags() && names.IsShort(ref) {
		return nil
	}
	return named
}

func (n *Names) imageStatus(stream grpc.ServerStream) error {
	const method = runtimeapi.ImageService_ImageStatus_FullMethodName
	ctx, req := stream.Context(), new(runtimeapi.ImageStatusRequest)
	frame, plain, err := n.receive(stream, req)
	if err != nil {
		return err
	}
	defer frame.Free()
	if plain {
		return n.Runtime.Call(ctx, method, frame).Send(stream)
	}
	if name, kept := n.kept(req.GetImage().GetImage()); kept {
		req.Image.Image = name.ImageID
		request, err := frameOf(req)
		if err != nil {
			return err
		}
		answer := n.Runtime.Call(ctx, method, request)
		var reply runtimeapi.ImageStatusResponse
		if answer.Err != nil || answer.Message.Decode(&reply) != nil {
			return answer.Send(stream)
		}
		if reply.GetImage().GetId() != "" {
			return sendChanged(stream, answer, &reply, n.present(reply.GetImage()))
		}
		answer.Message.Free()
		if err := n.gone(ctx, name.ImageID); err != nil {
			// That there is no image makes the kubelet run the container as root.
			return status.Errorf(status.Code(err), "imagefit: cannot tell whether image %s, which has the name %s, is there: %v",
				name.ImageID, name.Reference, err)
		}
	}
	answer := n.Runtime.Call(ctx, method, frame)
	var reply runtimeapi.ImageStatusResponse
	if answer.Err != nil || answer.Message.Decode(&reply) != nil {
		return answer.Send(stream)
	}
	return sendChanged(stream, answer, &reply, n.present(reply.GetImage()))
}

// sendChanged sends the runtime's answer, with the message in the place of its own where
// that was changed.
func sendChanged(stream grpc.ServerStream, answer *cri.Answer, message proto.Message, changed bool) error {
	if changed {
		frame, err := frameOf(message)
		if err != nil {
			return err
		}
		answer.Message.Free()
		answer.Message = *frame
	}
	return answer.Send(stream)
}

func (n *Names) listImages(stream grpc.ServerStream) error {
	const method = runtimeapi.ImageService_ListImages_FullMethodName
	ctx, req, begun := stream.Context(), new(runtimeapi.ListImagesRequest), time.Now()
	frame, plain, err := n.receive(stream, req)
	if err != nil {
		return err
	}
	defer func() { frame.Free() }()
	if !plain {
		if frame, err = n.filtered(frame, req, req.GetFilter()); err != nil {
			return err
		}
	}
	answer := n.Runtime.Call(ctx, method, frame)
	var reply runtimeapi.ListImagesResponse
	if plain || answer.Err != nil || answer.Message.Decode(&reply) != nil {
		return answer.Send(stream)
	}
	l := listing{Names: n, begun: begun, seen: map[string]bool{}}
	changed := l.present(reply.GetImages())
	if req.GetFilter().GetImage().GetImage() == "" {
		l.prune(ctx)
	}
	return sendChanged(stream, answer, &reply, changed)
}

// filtered returns the request with the id in the place of a name that the proxy keeps.
func (n *Names) filtered(frame *cri.Frame, req proto.Message, filter *runtimeapi.ImageFilter) (*cri.Frame, error) {
	name, kept := n.kept(filter.GetImage().GetImage())
	if !kept {
		return frame, nil
	}
	filter.Image.Image = name.ImageID
	changed, err := frameOf(req)
	if err != nil {
		return frame, err
	}
	frame.Free()
	return changed, nil
}

func (n *Names) streamImages(stream grpc.ServerStream) error {
	const method = runtimeapi.ImageService_StreamImages_FullMethodName
	req, begun := new(runtimeapi.StreamImagesRequest), time.Now()
	frame, plain, err := n.receive(stream, req)
	if err != nil {
		return err
	}
	defer func() { frame.Free() }()
	if plain {
		return n.Runtime.Relay(stream, method, frame, nil)
	}
	if frame, err = n.filtered(frame, req, req.GetFilter()); err != nil {
		return err
	}
	l := listing{Names: n, begun: begun, seen: map[string]bool{}}
	err = n.Runtime.Relay(stream, method, frame, func(part *cri.Frame) error {
		var reply runtimeapi.StreamImagesResponse
		isList := part.Decode(&reply) == nil
		if !isList || !l.present(reply.GetImages()) {
			return nil
		}
		changed, err := frameOf(&reply)
		if err == nil {
			part.Free()
			*part = *changed
		}
		return err
	})
	if err == nil && req.GetFilter().GetImage().GetImage() == "" {
		l.prune(stream.Context())
	}
	return err
}

// listing is one list of all images.
type listing struct {
	*Names
	begun time.Time
	seen  map[string]bool // by image id
}

func (l *listing) present(images []*runtimeapi.Image) (changed bool) {
	for _, image := range images {
		l.seen[image.GetId()] = true
		changed = l.Names.present(image) || changed
	}
	return changed
}

// prune forgets the names of images that are not in the list.
func (l *listing) prune(ctx context.Context) {
	for _, name := range l.Keeper.All() {
		if !l.seen[name.ImageID] && name.Since.Before(l.begun) {
			_ = l.gone(ctx, name.ImageID) // or else the next list finds it
			l.seen[name.ImageID] = true   // once
		}
	}
}

// createContainer puts the ids of images in the place of names that the runtime does not
// know. The kubelet sends ids; crictl and others send what the user wrote.
func (n *Names) createContainer(stream grpc.ServerStream) error {
	const method = runtimeapi.RuntimeService_CreateContainer_FullMethodName
	req := new(runtimeapi.CreateContainerRequest)
	frame, plain, err := n.receive(stream, req)
	if err != nil {
		return err
	}
	defer func() { frame.Free() }()
	changed := false
	if !plain {
		changed = n.resolve(req.GetConfig().GetImage())
		for _, mount := range req.GetConfig().GetMounts() {
			changed = n.resolve(mount.GetImage()) || changed
		}
	}
	if changed {
		request, err := frameOf(req)
		if err != nil {
			return err
		}
		frame.Free()
		frame = request
	}
	return n.Runtime.Call(stream.Context(), method, frame).Send(stream)
}

// resolve puts the id of an image in the place of a name that is kept, and reports whether
// it did.
func (n *Names) resolve(spec *runtimeapi.ImageSpec) bool {
	name, kept := n.kept(spec.GetImage())
	if kept {
		spec.Image = name.ImageID
	}
	return kept
}
