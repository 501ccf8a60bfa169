package cri

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // so that clients may compress, as they may with the runtime itself
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/tracing"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

const (
	// maxMessage bounds one message in either direction. The kubelet and containerd
	// stop at 16 MiB, so that the limit of a hop never applies before theirs.
	maxMessage = 16 << 20

	// Windows of a fixed size switch off gRPC's estimate of the link's bandwidth, which
	// answers each message with a ping: on a unix socket that wakes both sides for
	// nothing. A connection's window is many times a stream's, so that a stream whose
	// client does not read cannot block the others.
	streamWindow = 1 << 20
	connWindow   = 64 << 20
)

// Backend is the connection to the runtime, and to the image service before it where
// there is one. It connects on the first call and reconnects whenever it is lost. It is a
// [grpc.ClientConnInterface], so the clients that cri-api generates work on it.
type Backend struct {
	*upstream // of all calls but those of the image service

	images  *upstream
	methods map[string]*grpc.StreamDesc
	hop     string // see hopsKey
}

// upstream is one socket.
type upstream struct {
	endpoint string
	away     func(endpoint, cause string) error // that a call never got a connection
	conn     *grpc.ClientConn
}

var _ grpc.ClientConnInterface = (*Backend)(nil)

// NewBackend prepares a connection to the runtime's socket, given as
// [unixsocket.ParseEndpoint] takes it. The runtime need not be running yet.
func NewBackend(endpoint string) (*Backend, error) { return NewSplitBackend(endpoint, "") }

// NewSplitBackend is [NewBackend] where calls of CRI's ImageService go to another socket,
// unless imageEndpoint is "" or the same.
func NewSplitBackend(endpoint, imageEndpoint string) (*Backend, error) {
	runtime, err := newUpstream(endpoint, runtimeAway)
	if err != nil {
		return nil, err
	}
	b := &Backend{upstream: runtime, images: runtime, methods: knownMethods(), hop: newHop()}
	if imageEndpoint == "" || imageEndpoint == endpoint {
		return b, nil
	}
	if b.images, err = newUpstream(imageEndpoint, imagesAway); err != nil {
		return nil, errors.Join(err, runtime.conn.Close())
	}
	return b, nil
}

func runtimeAway(endpoint, cause string) error {
	return status.Errorf(codes.Unavailable, "imagefit: the runtime at %s is not answering: %s", endpoint, cause)
}

func imagesAway(endpoint, cause string) error {
	return status.Errorf(codes.Unavailable, "imagefit: the image service at %s is not answering: %s", endpoint, cause)
}

func newUpstream(endpoint string, away func(endpoint, cause string) error) (*upstream, error) {
	path, err := unixsocket.ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	target := (&url.URL{Scheme: "unix", Path: path}).String()
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithConnectParams(grpc.ConnectParams{
			// The same pace as the kubelet's.
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(Codec()),
			grpc.MaxCallRecvMsgSize(maxMessage),
			grpc.MaxCallSendMsgSize(maxMessage),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare connection to %s: %w", endpoint, err)
	}
	return &upstream{endpoint: "unix://" + path, away: away, conn: conn}, nil
}

// to returns where a method is served. The kubelet too chooses by the service, of
// whatever version of the CRI.
func (b *Backend) to(method string) *upstream {
	if service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/"); strings.HasPrefix(service, "runtime.") &&
		strings.HasSuffix(service, ".ImageService") {
		return b.images
	}
	return b.upstream
}

// ServerOptions are what a gRPC server needs to pass frames on, as large as they come.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(Codec()),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
	}
}

// knownMethods returns for every method of this cri-api which sides stream.
func knownMethods() map[string]*grpc.StreamDesc {
	methods := map[string]*grpc.StreamDesc{}
	for _, service := range []*grpc.ServiceDesc{&runtimeapi.RuntimeService_ServiceDesc, &runtimeapi.ImageService_ServiceDesc} {
		for _, m := range service.Methods {
			methods["/"+service.ServiceName+"/"+m.MethodName] = &grpc.StreamDesc{}
		}
		for _, s := range service.Streams {
			methods["/"+service.ServiceName+"/"+s.StreamName] = &grpc.StreamDesc{ServerStreams: s.ServerStreams, ClientStreams: s.ClientStreams}
		}
	}
	return methods
}

// StreamDesc says which sides of a method stream; of a method that this cri-api does not
// have, both may.
func (b *Backend) StreamDesc(method string) grpc.StreamDesc {
	if desc, ok := b.methods[method]; ok {
		return *desc
	}
	return grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
}

// Close ends the connection; calls that run fail.
func (b *Backend) Close() error {
	err := b.conn.Close()
	if b.images != b.upstream {
		err = errors.Join(err, b.images.conn.Close())
	}
	return err
}

// Invoke makes one unary call of imagefit's own. Of the metadata of a call being served
// only the trace context and the hops are passed on, unless ctx comes from [Outgoing].
func (b *Backend) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return b.invoke(traced(ctx), method, args, reply, opts...)
}

func (b *Backend) invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	to := b.to(method)
	var reached peer.Peer
	// Full slice: the caller's own array must not be written to.
	err := to.conn.Invoke(b.hopped(ctx), method, args, reply, append(opts[:len(opts):len(opts)], grpc.Peer(&reached))...)
	if reached.Addr == nil {
		return to.explain(err)
	}
	return err
}

// NewStream opens one stream of imagefit's own; see Invoke.
func (b *Backend) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return b.newStream(traced(ctx), desc, method, opts...)
}

func (b *Backend) newStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	to := b.to(method)
	stream, err := to.conn.NewStream(b.hopped(ctx), desc, method, opts...)
	return stream, to.explain(err)
}

// explain names the socket in the error of a call that never got a connection. A
// status that the runtime itself sent must not come here.
func (u *upstream) explain(err error) error {
	if status.Code(err) != codes.Unavailable {
		return err
	}
	return u.away(u.endpoint, status.Convert(err).Message())
}

// traced returns ctx for a call of imagefit's own, as part of the trace of the call
// being served.
func traced(ctx context.Context) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		md = metadata.MD{}
	}
	copyHops(ctx, md)
	tracing.Copy(ctx, md)
	tracing.Inject(ctx, md)
	return metadata.NewOutgoingContext(ctx, md)
}
