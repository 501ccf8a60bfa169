package criproxy

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
)

// interceptPull makes h the handler of PullImage.
func interceptPull(h func(*cri.Backend, grpc.ServerStream) error) func(*cri.Backend) map[string]Handler {
	return func(b *cri.Backend) map[string]Handler {
		return map[string]Handler{PullImage: func(s grpc.ServerStream) error { return h(b, s) }}
	}
}

func pulls(t *testing.T, conn *grpc.ClientConn) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := runtimeapi.NewImageServiceClient(conn).PullImage(context.Background(), &runtimeapi.PullImageRequest{})
		done <- err
	}()
	return done
}

// TestHandlerMayForwardOrRewriteACall lets a handler read the request, ask the runtime itself and pass the request on.
func TestHandlerMayForwardOrRewriteACall(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	critest.Start(t, path, &critest.Runtime{OnPull: func(ctx context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-h", "from the runtime"))
		return &runtimeapi.PullImageResponse{ImageRef: r.Image.Image + strings.Join(md["x-sent"], "")}, nil
	}})
	_, proxyPath := startProxy(t, path, interceptPull(func(b *cri.Backend, s grpc.ServerStream) error {
		var frame cri.Frame
		if err := s.RecvMsg(&frame); err != nil {
			return err
		}
		var request runtimeapi.PullImageRequest
		if err := frame.Decode(&request); err != nil {
			return err
		}
		if request.Image.Image == "forward" {
			return b.Call(s.Context(), PullImage, &frame).Send(s)
		}
		frame.Free()
		request.Image.Image = "rewritten"
		reply, err := runtimeapi.NewImageServiceClient(b).PullImage(cri.Outgoing(s.Context()), &request)
		if err != nil {
			return err
		}
		return s.SendMsg(reply)
	}))
	conn := critest.Dial(t, proxyPath)
	client := runtimeapi.NewImageServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-sent", "!")
	for image, want := range map[string]string{"forward": "forward!", "other": "rewritten!"} {
		var header metadata.MD
		reply, err := client.PullImage(ctx, &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: image}}, grpc.Header(&header))
		if err != nil || reply.ImageRef != want {
			t.Errorf("%s: %v, %v", image, reply, err)
		}
		if image == "forward" && len(header["x-h"]) != 1 {
			t.Errorf("header %v", header)
		}
	}
	// The rest of the service goes by.
	if _, err := client.ListImages(ctx, &runtimeapi.ListImagesRequest{}); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "ListImages") {
		t.Errorf("ListImages: %v", err)
	}
}

func TestPanicOfAHandlerFailsOnlyItsCall(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	critest.Start(t, path, &critest.Runtime{})
	server, proxyPath := startProxy(t, path, interceptPull(func(*cri.Backend, grpc.ServerStream) error { panic("out of cheese") }))
	var log testkit.Log
	server.log = slog.New(slog.NewTextHandler(&log, nil))
	conn := critest.Dial(t, proxyPath)
	err := <-pulls(t, conn)
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "cheese") || !strings.Contains(err.Error(), PullImage) {
		t.Errorf("got %v", err)
	}
	if text := log.String(); !strings.Contains(text, "out of cheese") || !strings.Contains(text, "TestPanicOfAHandlerFailsOnlyItsCall") {
		t.Errorf("log: %s", text)
	}
	if _, err := runtimeapi.NewRuntimeServiceClient(conn).Version(t.Context(), &runtimeapi.VersionRequest{}); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func TestMalformedMethodNamesAreRejected(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"", "PullImage", "/PullImage", "service/PullImage", "//PullImage", "/service/"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was accepted", method)
				}
			}()
			(&generation{server: &Server{backend: &cri.Backend{}}}).interceptors(map[string]Handler{method: nil})
		}()
	}
}

// TestClientsMayPingAtAnyRate: a client that pings a lot keeps its connection.
func TestClientsMayPingAtAnyRate(t *testing.T) {
	t.Parallel()
	_, path := startProxy(t, critest.Socket(t), nil)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	const pings = 20
	for i := range pings {
		if err := framer.WritePing(false, [8]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for acks := 0; acks < pings; {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.PingFrame:
			acks++
		case *http2.GoAwayFrame:
			t.Fatalf("told to go away: %s", frame.DebugData())
		}
	}
}
