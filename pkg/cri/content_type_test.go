package cri_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
)

// everyKind makes calls of all kinds on a connection: unary and streaming, with messages and with frames.
var everyKind = map[string]func(ctx context.Context, conn grpc.ClientConnInterface) error{
	"typed unary": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		_, err := runtimeapi.NewRuntimeServiceClient(conn).Version(ctx, &runtimeapi.VersionRequest{})
		return err
	},
	"typed stream": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		stream, err := runtimeapi.NewRuntimeServiceClient(conn).GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	},
	"frame": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		return conn.Invoke(ctx, versionMethod, cri.NewFrame(nil), new(cri.Frame), grpc.ForceCodecV2(cri.Codec()))
	},
	"frames of a stream": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
			"/future.v2.Service/Chat", grpc.ForceCodecV2(cri.Codec()))
		if err == nil {
			err = errors.Join(stream.SendMsg(cri.NewFrame([]byte("x"))), stream.RecvMsg(new(cri.Frame)))
		}
		return err
	},
	"metadata and a subtype of the client's": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-client", "1")
		return conn.Invoke(ctx, versionMethod, &runtimeapi.VersionRequest{}, new(runtimeapi.VersionResponse), grpc.CallContentSubtype("proto"))
	},
}

// TestEachCallHasThePlainContentType sends each kind of call as the first of a connection to a runtime that takes
// no other, and looks at what every later one of the connection has: forwarded or imagefit's own.
func TestEachCallHasThePlainContentType(t *testing.T) {
	t.Parallel()
	for name, call := range everyKind {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := critest.Socket(t)
			seen := make(chan []string, 16)
			critest.StartStrictRaw(t, path, func(s grpc.ServerStream) error {
				md, _ := metadata.FromIncomingContext(s.Context())
				seen <- md.Get("content-type")
				if err := s.RecvMsg(new(cri.Frame)); err != nil && !errors.Is(err, io.EOF) {
					return err
				}
				return s.SendMsg(cri.NewFrame(nil))
			})
			own, proxyPath := startProxy(t, path)
			clients := map[string]grpc.ClientConnInterface{"forwarded": critest.Dial(t, proxyPath)}
			if !strings.Contains(name, "subtype") { // of a client, not of ours
				clients["own"] = own
			}
			for who, conn := range clients {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				for range 2 {
					if err := call(ctx, conn); err != nil {
						t.Fatalf("%s: %v", who, err)
					}
					if got := <-seen; !slices.Equal(got, []string{"application/grpc"}) {
						t.Errorf("%s: content-type %q", who, got)
					}
				}
			}
		})
	}
}

// TestStrictRuntimeAnswersProbesAndSaysWhatItDoesNotHave: its errors are its own, not those of a closed connection.
func TestStrictRuntimeAnswersProbesAndSaysWhatItDoesNotHave(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	critest.StartStrict(t, path, &critest.Runtime{})
	own, proxyPath := startProxy(t, path)
	ctx := soon(t)
	if text, err := (cri.Probe{Socket: proxyPath, Runtime: path}).Check(ctx); err != nil || !strings.HasPrefix(text, "serving fake ") {
		t.Errorf("probe through the proxy: %q, %v", text, err)
	}
	if text, err := (cri.Probe{Socket: path, Runtime: path}).Check(ctx); err != nil || !strings.HasPrefix(text, "serving fake ") {
		t.Errorf("probe of the runtime: %q, %v", text, err)
	}
	if _, err := imagesapi.NewImagesClient(own).List(ctx, &imagesapi.ListImagesRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("containerd's own service: %v", err)
	}
}
