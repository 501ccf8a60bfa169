package integration

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// call is one RPC that a recorder saw.
type call struct {
	method  string // without its service, e.g. PullImage
	request []byte // the first message as it was on the wire
	md      metadata.MD
}

// recorder sits between a CRI client and a server and keeps the bytes of every
// call. It knows no message and shares no code with the proxy.
type recorder struct {
	socket   string
	upstream *grpc.ClientConn
	mu       sync.Mutex
	seen     []call
	before   func(method string) // of each call, when it has arrived and is not handled yet
}

// startRecorder starts a recorder of that name in front of a socket.
func startRecorder(t testing.TB, containerd *stack.Containerd, name, upstream string) *recorder {
	t.Helper()
	conn, err := stack.Dial(upstream)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{socket: filepath.Join(containerd.Dir, name+".sock"), upstream: conn}
	listener, err := net.Listen("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(r.pass),
		grpc.MaxRecvMsgSize(16<<20), grpc.MaxSendMsgSize(16<<20))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	})
	return r
}

// pass passes one call on, whatever it is.
func (r *recorder) pass(_ any, stream grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	md, _ := metadata.FromIncomingContext(ctx)
	method, _ := grpc.MethodFromServerStream(stream)
	r.mu.Lock()
	before := r.before
	r.mu.Unlock()
	if before != nil {
		before(method)
	}
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	upstream, err := r.upstream.NewStream(metadata.NewOutgoingContext(ctx, md), both, method, grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		return err
	}
	go func() {
		for i := 0; ; i++ {
			var message []byte
			if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
				_ = upstream.CloseSend()
				return
			} else if err != nil {
				cancel()
				return
			}
			if i == 0 {
				r.note(method, message, md)
			}
			if upstream.SendMsg(message) != nil {
				return // the reason is what RecvMsg returns
			}
		}
	}()
	for {
		var message []byte
		err := upstream.RecvMsg(&message)
		if err == nil {
			err = stream.SendMsg(message)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// onCall sets what is done before each call is passed on.
func (r *recorder) onCall(before func(method string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = before
}

func (r *recorder) note(method string, request []byte, md metadata.MD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, call{method[strings.LastIndex(method, "/")+1:], request, md})
}

// take returns what was seen since the last time.
func (r *recorder) take() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// pulls returns the requests of the pulls among them.
func (r *recorder) pulls() [][]byte {
	var requests [][]byte
	for _, c := range r.take() {
		if c.method == "PullImage" {
			requests = append(requests, slices.Clone(c.request))
		}
	}
	return requests
}

// rawCodec sends and receives bytes as they are.
type rawCodec struct{ encoding.CodecV2 }

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// pullRaw sends these very bytes as a PullImage and returns the image id.
func pullRaw(t *testing.T, cri *stack.CRI, request []byte) string {
	t.Helper()
	var reply []byte
	if err := cri.Conn().Invoke(t.Context(), runtimeapi.ImageService_PullImage_FullMethodName, request, &reply, grpc.ForceCodecV2(rawCodec{})); err != nil {
		t.Fatalf("pull: %v", err)
	}
	var resp runtimeapi.PullImageResponse
	if err := proto.Unmarshal(reply, &resp); err != nil {
		t.Fatal(err)
	}
	return resp.GetImageRef()
}
