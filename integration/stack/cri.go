package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// maxMessage is the kubelet's own limit for one CRI message.
const maxMessage = 16 << 20

// ErrNoImage is what Status returns for an image that the runtime does not have.
var ErrNoImage = errors.New("no such image")

// CRI is a client as the kubelet is one: the same calls in the same order.
type CRI struct {
	// Runtime and Image are the plain clients, for everything without a helper.
	Runtime runtimeapi.RuntimeServiceClient
	Image   runtimeapi.ImageServiceClient
	// LogDir is where the containers' logs go, which WaitOutput reads.
	LogDir string
	// CgroupParent is the cgroup that pods are put under, empty for the
	// runtime's own.
	CgroupParent string

	runtimeConn, imageConn *grpc.ClientConn
}

// DialCRI connects to the CRI at a unix socket; pods need LogDir set. For the
// pods of a [Containerd] take its CRI, Via or ImagesVia. The connection is made at
// the first call, and again after the other side went away.
func DialCRI(socket string) (*CRI, error) { return dialCRI(socket, socket) }

func dialCRI(runtime, image string) (*CRI, error) {
	runtimeConn, err := Dial(runtime)
	if err != nil {
		return nil, err
	}
	imageConn := runtimeConn
	if image != runtime {
		if imageConn, err = Dial(image); err != nil {
			return nil, errors.Join(err, runtimeConn.Close())
		}
	}
	return &CRI{
		Runtime:     runtimeapi.NewRuntimeServiceClient(runtimeConn),
		Image:       runtimeapi.NewImageServiceClient(imageConn),
		runtimeConn: runtimeConn,
		imageConn:   imageConn,
	}, nil
}

// Dial is a gRPC connection to a unix socket with the kubelet's message limits,
// quick to come back when the other side restarts.
func Dial(socket string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
			// As the kubelet's. Without it a connection has no longer than the
			// backoff, which a busy machine exceeds.
			MinConnectTimeout: 5 * time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", socket, err)
	}
	return conn, nil
}

// Close ends the connections.
func (c *CRI) Close() error {
	err := c.runtimeConn.Close()
	if c.imageConn != c.runtimeConn {
		err = errors.Join(err, c.imageConn.Close())
	}
	return err
}

// Conn is the connection of the image calls, for RPCs that no stub knows.
func (c *CRI) Conn() *grpc.ClientConn { return c.imageConn }

// PullOptions is what the kubelet says with a pull. The zero value is an
// anonymous pull for a pod in the namespace default.
type PullOptions struct {
	Auth        *runtimeapi.AuthConfig
	Namespace   string
	Pod         string
	Annotations map[string]string // the pod's
	// RuntimeHandler is the pod's; kubelets leave it out unless told otherwise.
	RuntimeHandler string
}

// Pull pulls an image and returns what the runtime calls it from now on
// (image_ref). Errors are the RPC's own, for their code and text.
func (c *CRI) Pull(ctx context.Context, ref string, opts PullOptions) (string, error) {
	pod := PodOptions{Namespace: opts.Namespace, Name: opts.Pod, Annotations: opts.Annotations}
	reply, err := c.Image.PullImage(ctx, &runtimeapi.PullImageRequest{
		Image:         &runtimeapi.ImageSpec{Image: ref, UserSpecifiedImage: ref, Annotations: opts.Annotations, RuntimeHandler: opts.RuntimeHandler},
		Auth:          opts.Auth,
		SandboxConfig: c.sandboxConfig(pod.withDefaults()),
	})
	return reply.GetImageRef(), err
}

// Status is what the runtime knows of an image, or [ErrNoImage].
func (c *CRI) Status(ctx context.Context, ref string) (*runtimeapi.Image, error) {
	reply, err := c.Image.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	if err != nil {
		return nil, err
	}
	if reply.GetImage() == nil {
		return nil, fmt.Errorf("image status of %s: %w", ref, ErrNoImage)
	}
	return reply.GetImage(), nil
}

// List lists all images.
func (c *CRI) List(ctx context.Context) ([]*runtimeapi.Image, error) {
	reply, err := c.Image.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	return reply.GetImages(), err
}

// Remove removes an image by any of its names.
func (c *CRI) Remove(ctx context.Context, ref string) error {
	_, err := c.Image.RemoveImage(ctx, &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	return err
}

// Stream lists all images as a kubelet does that streams lists. A runtime that
// cannot answers Unimplemented.
func (c *CRI) Stream(ctx context.Context) ([]*runtimeapi.Image, error) {
	stream, err := c.Image.StreamImages(ctx, &runtimeapi.StreamImagesRequest{})
	if err != nil {
		return nil, err
	}
	var images []*runtimeapi.Image
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return images, nil
		}
		if err != nil {
			return nil, err
		}
		images = append(images, page.GetImages()...)
	}
}
