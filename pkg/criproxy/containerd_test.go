package criproxy

import (
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/internal/testkit/fakeruntime"
	"github.com/imagefit/imagefit/pkg/cri"
)

// fakeContainerd is the kit's containerd on a socket. It keeps PullImage requests
// as they came from the wire.
type fakeContainerd struct {
	*fakeruntime.Runtime

	mu     sync.Mutex
	pulled []string
}

func startContainerd(t testing.TB, path string, registry *pullRegistry) *fakeContainerd {
	t.Helper()
	f := &fakeContainerd{Runtime: fakeruntime.New(registry.Registry)}
	server := grpc.NewServer(grpc.ForceServerCodecV2(recordingCodec{cri.Codec(), f}))
	f.Register(server)
	critest.Serve(t, path, server)
	return f
}

type recordingCodec struct {
	encoding.CodecV2
	f *fakeContainerd
}

func (c recordingCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if _, ok := v.(*runtimeapi.PullImageRequest); ok {
		c.f.mu.Lock()
		c.f.pulled = append(c.f.pulled, string(data.Materialize()))
		c.f.mu.Unlock()
	}
	return c.CodecV2.Unmarshal(data, v)
}

// requests returns the raw PullImage requests so far.
func (f *fakeContainerd) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.pulled...)
}

func (f *fakeContainerd) written() string { return strings.Join(f.Writes(), ", ") }
