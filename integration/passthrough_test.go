package integration

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// Whatever is not a pull of an index is the runtime's business: the proxy must
// not be noticed.
func TestEverythingElsePassesThrough(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	proxied, err := f.containerd.Via(f.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxied.Close() })
	direct := f.containerd.CRI

	t.Run("unary", func(t *testing.T) {
		calls := map[string]func(*stack.CRI) (proto.Message, error){
			"Version": func(c *stack.CRI) (proto.Message, error) {
				return c.Runtime.Version(t.Context(), &runtimeapi.VersionRequest{})
			},
			"Status": func(c *stack.CRI) (proto.Message, error) {
				return c.Runtime.Status(t.Context(), &runtimeapi.StatusRequest{Verbose: true})
			},
			"ListImages": func(c *stack.CRI) (proto.Message, error) {
				return c.Image.ListImages(t.Context(), &runtimeapi.ListImagesRequest{})
			},
			"a container that is not there": func(c *stack.CRI) (proto.Message, error) {
				return c.Runtime.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: "none"})
			},
			"a malformed image reference": func(c *stack.CRI) (proto.Message, error) {
				return c.Image.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: "Not A Reference"}})
			},
			"no image at all": func(c *stack.CRI) (proto.Message, error) {
				return c.Image.PullImage(t.Context(), &runtimeapi.PullImageRequest{})
			},
			"a registry that is not there": func(c *stack.CRI) (proto.Message, error) {
				return c.Image.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: "127.0.0.1:1/app:1"}})
			},
			"a tag that is not there": func(c *stack.CRI) (proto.Message, error) {
				return c.Image.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: f.registry.Host + "/app:none"}})
			},
		}
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				want, wantErr := call(direct)
				got, gotErr := call(proxied)
				if !proto.Equal(status.Convert(gotErr).Proto(), status.Convert(wantErr).Proto()) {
					t.Errorf("status %v\nwant   %v", status.Convert(gotErr).Proto(), status.Convert(wantErr).Proto())
				}
				if wantErr == nil && !proto.Equal(got, want) {
					t.Errorf("reply %v\nwant  %v", got, want)
				}
			})
		}
	})
	t.Run("a method unborn", func(t *testing.T) {
		for _, method := range []string{"/runtime.v1.RuntimeService/Unborn", "/runtime.v9.Future/Do", "/runtime.v1.ImageService/Unborn"} {
			wantErr := direct.Conn().Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{})
			gotErr := proxied.Conn().Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{})
			if status.Code(wantErr) != codes.Unimplemented || !proto.Equal(status.Convert(gotErr).Proto(), status.Convert(wantErr).Proto()) {
				t.Errorf("%s: %v, want %v", method, gotErr, wantErr)
			}
		}
	})
	t.Run("containerd's own services", func(t *testing.T) {
		stream, err := proxied.Conn().NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/containerd.services.content.v1.Content/Read")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(stream.SendMsg(&emptypb.Empty{}), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&emptypb.Empty{}); err == nil || errors.Is(err, io.EOF) {
			t.Error("reading missing content succeeded")
		}
	})
	t.Run("events", func(t *testing.T) {
		events, err := f.eventStream(t)
		if err != nil {
			t.Fatal(err)
		}
		repo, _, _ := f.push(t, "app", variants("amd64")...)
		f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
		event, err := events.Recv()
		if err != nil || event.GetContainerId() == "" {
			t.Errorf("event %v, %v", event, err)
		}
	})
	t.Run("streamed lists", func(t *testing.T) {
		for name, cri := range map[string]*stack.CRI{"direct": direct, "proxied": proxied} {
			stream, err := cri.Image.StreamImages(t.Context(), &runtimeapi.StreamImagesRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil && status.Code(err) != codes.Unimplemented && !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("16 MiB", func(t *testing.T) {
		// containerd stops at 16 MiB itself; the proxy must let just less through.
		big := &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{
			Image: f.registry.Host + "/app:1", Annotations: map[string]string{"big": strings.Repeat("x", 16<<20-200)},
		}}
		for name, cri := range map[string]*stack.CRI{"direct": direct, "proxied": proxied} {
			if _, err := cri.Image.ImageStatus(t.Context(), big); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("deadline", func(t *testing.T) {
		f.registry.Inject(stack.Fault{Path: "/manifests/", Delay: 5 * time.Second})
		for name, cri := range map[string]*stack.CRI{"direct": direct, "proxied": proxied} {
			ctx, cancel := timeout(t, 50*time.Millisecond)
			_, err := cri.Pull(ctx, f.registry.Host+"/slow:1", stack.PullOptions{})
			cancel()
			if status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("%s: %v, want DeadlineExceeded", name, err)
			}
		}
	})
}
