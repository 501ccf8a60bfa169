package cri_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/criproxy"
)

const (
	versionMethod = "/runtime.v1.RuntimeService/Version"
	eventsMethod  = "/runtime.v1.RuntimeService/GetContainerEvents"
	pullMethod    = "/runtime.v1.ImageService/PullImage"
)

// seen is all that a client can see of a call.
type seen struct {
	Messages [][]byte
	Header   metadata.MD
	Trailer  metadata.MD
	Status   string
}

// observe makes a call with raw frames and records what comes back.
func observe(t *testing.T, conn *grpc.ClientConn, method string, md metadata.MD, requests ...[]byte) seen {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(t.Context(), md), 20*time.Second)
	defer cancel()
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := conn.NewStream(ctx, desc, method, grpc.ForceCodecV2(cri.Codec()))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if err := stream.SendMsg(cri.NewFrame(r)); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var s seen
	s.Header, _ = stream.Header()
	for {
		var frame cri.Frame
		err := stream.RecvMsg(&frame)
		if err != nil {
			s.Trailer = stream.Trailer()
			if err != io.EOF {
				data, _ := proto.MarshalOptions{Deterministic: true}.Marshal(status.Convert(err).Proto())
				s.Status = fmt.Sprintf("%v %x", err, data)
			}
			return s
		}
		s.Messages = append(s.Messages, frame.Bytes())
		frame.Free()
	}
}

// TestCallsLookTheSameThroughTheProxyAndPastIt makes each call directly and through the proxy; the client must not be
// able to tell the difference.
func TestCallsLookTheSameThroughTheProxyAndPastIt(t *testing.T) {
	t.Parallel()
	detailed, err := status.New(codes.FailedPrecondition, "no room: 100% full, naïve\nline").WithDetails(
		&errdetails.ErrorInfo{Reason: "DISK", Metadata: map[string]string{"a": "b"}},
		&runtimeapi.VersionResponse{Version: "any message"})
	if err != nil {
		t.Fatal(err)
	}
	header := metadata.Pairs("x-h", "1", "x-h", "2", "x-h-bin", "\x00\xff")
	trailer := metadata.Pairs("x-t", "3", "x-t", "4", "x-t-bin", "\x01\xfe")
	big := bytes.Repeat([]byte("0123456789abcdef"), 15<<16)

	echo := func(stream grpc.ServerStream) error {
		for {
			var frame cri.Frame
			if err := stream.RecvMsg(&frame); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			err := stream.SendMsg(&frame)
			frame.Free()
			if err != nil {
				return err
			}
		}
	}
	cases := []struct {
		name     string
		method   string
		requests [][]byte
		handler  criproxy.Handler
		check    func(seen) bool
	}{
		{"unary", versionMethod, [][]byte{[]byte("ask")}, echo, nil},
		{"unknown fields survive", versionMethod, [][]byte{unknownFields()}, echo,
			func(s seen) bool { return bytes.Equal(s.Messages[0], unknownFields()) }},
		{"empty message", versionMethod, [][]byte{{}}, echo,
			func(s seen) bool { return len(s.Messages) == 1 && len(s.Messages[0]) == 0 }},
		{"15 MiB both ways", versionMethod, [][]byte{big}, echo,
			func(s seen) bool { return bytes.Equal(s.Messages[0], big) }},
		{"15 MiB both ways in a stream", "/future.v2.Service/Chat", [][]byte{big, []byte("x"), big}, echo,
			func(s seen) bool { return len(s.Messages) == 3 && bytes.Equal(s.Messages[2], big) }},
		{"larger than what the runtime takes", versionMethod, [][]byte{make([]byte, 17<<20)}, echo,
			func(s seen) bool { return strings.Contains(s.Status, "ResourceExhausted") }},
		{"header and trailer", versionMethod, [][]byte{{1}}, func(s grpc.ServerStream) error {
			_ = s.SetHeader(header)
			s.SetTrailer(trailer)
			return echo(s)
		}, func(s seen) bool { return s.Header["x-h-bin"][0] == "\x00\xff" && len(s.Trailer["x-t"]) == 2 }},
		{"error with details, header and trailer", versionMethod, [][]byte{{1}}, func(s grpc.ServerStream) error {
			_ = s.SetHeader(header)
			s.SetTrailer(trailer)
			return detailed.Err()
		}, func(s seen) bool { return strings.Contains(s.Status, "no room: 100% full, naïve\nline") }},
		{"error without header", versionMethod, [][]byte{{1}}, func(grpc.ServerStream) error { return detailed.Err() }, nil},
		{"the runtime's own Unavailable", versionMethod, [][]byte{{1}}, func(grpc.ServerStream) error {
			return status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing"`)
		}, func(s seen) bool { return !strings.Contains(s.Status, "imagefit") }},
		{"code that no gRPC knows", versionMethod, [][]byte{{1}}, func(grpc.ServerStream) error {
			return status.Error(codes.Code(77), "unusual")
		}, nil},
		{"answer and then an error", versionMethod, [][]byte{{1}}, func(s grpc.ServerStream) error {
			_ = s.SendMsg(cri.NewFrame([]byte("answer")))
			return detailed.Err()
		}, nil},
		{"no request at all", versionMethod, nil, echo, nil},
		{"server stream", eventsMethod, [][]byte{{1}}, func(s grpc.ServerStream) error {
			_ = s.SendHeader(header)
			for i := range 100 {
				_ = s.SendMsg(cri.NewFrame([]byte{byte(i)}))
			}
			s.SetTrailer(trailer)
			return nil
		}, func(s seen) bool { return len(s.Messages) == 100 }},
		{"server stream that fails half-way", eventsMethod, [][]byte{{1}}, func(s grpc.ServerStream) error {
			_ = s.SendMsg(cri.NewFrame([]byte("one")))
			s.SetTrailer(trailer)
			return detailed.Err()
		}, func(s seen) bool { return len(s.Messages) == 1 && s.Status != "" }},
		{"server stream that fails at once", eventsMethod, [][]byte{{1}}, func(grpc.ServerStream) error { return detailed.Err() }, nil},
		{"unknown service, many requests", "/future.v2.Service/Chat", [][]byte{{1}, {2}, {3}}, echo,
			func(s seen) bool { return len(s.Messages) == 3 }},
		{"unknown service, no requests", "/future.v2.Service/Chat", nil, echo, nil},
		{"unknown method of a known service", "/runtime.v1.RuntimeService/Unborn", [][]byte{{1}}, echo, nil},
		{"unknown service that fails at once", "/future.v2.Service/Chat", [][]byte{{1}}, func(s grpc.ServerStream) error {
			_ = s.SetHeader(header)
			s.SetTrailer(trailer)
			return detailed.Err()
		}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := critest.Socket(t)
			critest.StartRaw(t, path, c.handler)
			direct, proxied := pair(t, path)
			want := observe(t, direct, c.method, nil, c.requests...)
			got := observe(t, proxied, c.method, nil, c.requests...)
			if answersBeforeError(c.name) {
				want.Messages = nil // A unary client drops them, and so does the proxy, as such a client.
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("through the proxy:\n%.2000q\ndirectly:\n%.2000q", fmt.Sprint(got), fmt.Sprint(want))
			}
			if c.check != nil && !c.check(got) {
				t.Errorf("unexpected: %.2000q", fmt.Sprint(got))
			}
		})
	}
}

func answersBeforeError(name string) bool { return name == "answer and then an error" }

// TestUnknownMethodsFailAsTheyDoAtTheRuntime checks what a real CRI service says to what it does not know.
func TestUnknownMethodsFailAsTheyDoAtTheRuntime(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	critest.Start(t, path, &critest.Runtime{})
	direct, proxied := pair(t, path)
	for _, method := range []string{
		versionMethod, "/runtime.v1.RuntimeService/Status", "/runtime.v1.RuntimeService/Unborn",
		"/runtime.v1.ImageService/StreamImages", "/future.v2.Service/Chat", "/runtime.v1alpha2.RuntimeService/Version",
	} {
		want := observe(t, direct, method, nil, unknownFields())
		if got := observe(t, proxied, method, nil, unknownFields()); !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nthrough the proxy: %v\ndirectly: %v", method, got, want)
		}
	}
	for name, conn := range map[string]*grpc.ClientConn{"direct": direct, "proxied": proxied} {
		reply, err := runtimeapi.NewRuntimeServiceClient(conn).Version(t.Context(), &runtimeapi.VersionRequest{Version: "v1"},
			grpc.UseCompressor("gzip"))
		if err != nil || reply.RuntimeName != "fake" {
			t.Errorf("%s, compressed: %v, %v", name, reply, err)
		}
	}
}

// TestEndpointMayHaveAnyCharacterInItsPath: whatever a path may have reaches the right socket.
func TestEndpointMayHaveAnyCharacterInItsPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b%20?#.sock")
	critest.Start(t, path, &critest.Runtime{})
	_, proxied := pair(t, path)
	if got := observe(t, proxied, versionMethod, nil, unknownFields()); got.Status != "" {
		t.Error(got.Status)
	}
}

// TestRuntimeLearnsThatTheClientCancelled checks that the runtime learns of it, whatever the shape of the call.
func TestRuntimeLearnsThatTheClientCancelled(t *testing.T) {
	t.Parallel()
	for _, method := range []string{versionMethod, eventsMethod, "/future.v2.Service/Chat"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			path := critest.Socket(t)
			began, ended := make(chan struct{}), make(chan error, 1)
			critest.StartRaw(t, path, func(s grpc.ServerStream) error {
				close(began)
				<-s.Context().Done()
				ended <- s.Context().Err()
				return nil
			})
			_, proxied := pair(t, path)
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := proxied.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodecV2(cri.Codec()))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg(cri.NewFrame([]byte{1})); err != nil {
				t.Fatal(err)
			}
			<-began
			cancel()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v", err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("the runtime never learned that the client is gone")
			}
			noCopier(t)
		})
	}
}

// unknownFields is a VersionRequest with fields no cri-api has.
func unknownFields() []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendString(b, "v1")
	b = protowire.AppendTag(b, 4711, protowire.BytesType)
	b = protowire.AppendString(b, "from the future")
	b = protowire.AppendTag(b, 4712, protowire.VarintType)
	return protowire.AppendVarint(b, 1<<40)
}
