package integration

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/criproxy"
)

// recorder stands between the proxy and containerd and keeps the bytes of every
// PullImage.
type recorder struct {
	socket string
	mu     sync.Mutex
	seen   [][]byte
}

func startRecorder(t *testing.T, containerd *stack.Containerd) *recorder {
	t.Helper()
	r := &recorder{socket: filepath.Join(containerd.Dir, "recorder.sock")}
	backend, err := criproxy.NewBackend("unix://" + containerd.Socket)
	if err != nil {
		t.Fatal(err)
	}
	server := criproxy.New(criproxy.Options{
		Backend: backend, Log: slog.New(slog.DiscardHandler),
		Intercept: map[string]criproxy.Handler{
			criproxy.PullImage: func(stream grpc.ServerStream) error {
				frame := new(criproxy.Frame)
				if err := stream.RecvMsg(frame); err != nil {
					return err
				}
				r.mu.Lock()
				r.seen = append(r.seen, frame.Bytes())
				r.mu.Unlock()
				return backend.Forward(stream, criproxy.PullImage, frame)
			},
		},
	})
	listener, err := criproxy.Listen(r.socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-served
		_ = backend.Close()
	})
	return r
}

// pulls returns what was seen since the last call.
func (r *recorder) pulls() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := slices.Clone(r.seen)
	r.seen = nil
	return seen
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
	if err := cri.Conn().Invoke(t.Context(), criproxy.PullImage, request, &reply, grpc.ForceCodecV2(rawCodec{})); err != nil {
		t.Fatalf("pull: %v", err)
	}
	var resp runtimeapi.PullImageResponse
	if err := proto.Unmarshal(reply, &resp); err != nil {
		t.Fatal(err)
	}
	return resp.GetImageRef()
}
