package criproxy

import (
	"context"
	"fmt"
	"io"
	"net/url"
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
	// maxMessage bounds one message in either direction. The kubelet and
	// containerd stop at 16 MiB, so it is they who decide, not the proxy.
	maxMessage = 256 << 20

	// Windows of a fixed size switch off gRPC's estimate of the link's
	// bandwidth, which answers each message with a ping: on a unix
	// socket it only wakes both sides for nothing. A connection's window is
	// many times a stream's, so that a stream whose client does not
	// read cannot hold up the others.
	streamWindow = 1 << 20
	connWindow   = 64 << 20
)

// Backend is the connection to the runtime. It connects on the first call and
// reconnects for ever. It is a [grpc.ClientConnInterface], so the clients that
// cri-api generates work on it.
type Backend struct {
	endpoint string
	conn     *grpc.ClientConn
	shapes   map[string]*grpc.StreamDesc
}

var _ grpc.ClientConnInterface = (*Backend)(nil)

// NewBackend prepares a connection to the runtime's socket, as [ParseEndpoint]
// understands it. The runtime need not be there yet.
func NewBackend(endpoint string) (*Backend, error) {
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
	return &Backend{endpoint: "unix://" + path, conn: conn, shapes: knownShapes()}, nil
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

// knownShapes says for every method of this cri-api which sides stream.
func knownShapes() map[string]*grpc.StreamDesc {
	shapes := map[string]*grpc.StreamDesc{}
	for _, service := range []*grpc.ServiceDesc{&runtimeapi.RuntimeService_ServiceDesc, &runtimeapi.ImageService_ServiceDesc} {
		for _, m := range service.Methods {
			shapes["/"+service.ServiceName+"/"+m.MethodName] = &grpc.StreamDesc{}
		}
		for _, s := range service.Streams {
			shapes["/"+service.ServiceName+"/"+s.StreamName] = &grpc.StreamDesc{ServerStreams: s.ServerStreams, ClientStreams: s.ClientStreams}
		}
	}
	return shapes
}

// shape says which sides of method stream: both, for all we know of an unknown one.
func (b *Backend) shape(method string) grpc.StreamDesc {
	if desc, ok := b.shapes[method]; ok {
		return *desc
	}
	return grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
}

// Close ends the connection; calls that run fail.
func (b *Backend) Close() error { return b.conn.Close() }

// Invoke makes one unary call of the proxy's own. Of the metadata of a call being
// served only the trace context is passed on, unless ctx comes from [Outgoing].
func (b *Backend) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return b.invoke(traced(ctx), method, args, reply, opts...)
}

func (b *Backend) invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var reached peer.Peer
	// Full slice: the caller's own array must not be written to.
	err := b.conn.Invoke(ctx, method, args, reply, append(opts[:len(opts):len(opts)], grpc.Peer(&reached))...)
	if reached.Addr == nil {
		return b.explain(err)
	}
	return err
}

// NewStream opens one stream of the proxy's own; see Invoke.
func (b *Backend) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return b.newStream(traced(ctx), desc, method, opts...)
}

func (b *Backend) newStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := b.conn.NewStream(ctx, desc, method, opts...)
	return stream, b.explain(err)
}

// explain names the runtime in the error of a call that never got a connection. A
// status that the runtime itself sent must not come here.
func (b *Backend) explain(err error) error {
	if status.Code(err) != codes.Unavailable {
		return err
	}
	return status.Errorf(codes.Unavailable, "imagefit: the runtime at %s is not answering: %s", b.endpoint, status.Convert(err).Message())
}

// Outgoing returns ctx with the metadata of the call that it serves made ready to be
// sent to the runtime. Deadline and cancellation are inherited.
func Outgoing(ctx context.Context) context.Context {
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return ctx
	}
	// This belongs to the hop, like the headers that gRPC itself
	// leaves out; left in it would be sent twice.
	delete(md, "grpc-accept-encoding")
	tracing.Inject(ctx, md)
	return metadata.NewOutgoingContext(ctx, md)
}

// Answer is all that the runtime said to one unary call.
type Answer struct {
	Message Frame
	Header  metadata.MD
	Trailer metadata.MD
	Err     error // nil, or a status as the runtime sent it
}

// Call passes a unary request on to the runtime and waits for the answer; ctx is that
// of the call being served, whose metadata goes along. The request stays the caller's.
func (b *Backend) Call(ctx context.Context, method string, request *Frame) *Answer {
	answer := new(Answer)
	answer.Err = b.invoke(Outgoing(ctx), method, request, &answer.Message,
		grpc.Header(&answer.Header), grpc.Trailer(&answer.Trailer))
	return answer
}

// Send gives the answer to the client as it is and frees the message. What it returns the
// handler must return.
func (a *Answer) Send(stream grpc.ServerStream) error {
	defer a.Message.Free()
	if err := stream.SetHeader(a.Header); err != nil {
		return err
	}
	stream.SetTrailer(a.Trailer)
	if a.Err != nil {
		return a.Err
	}
	return stream.SendMsg(&a.Message)
}

// Forward passes the call on to the runtime and everything that it answers back to
// the client. first is the request if the caller has received it already, else
// nil; Forward frees it. What Forward returns the handler must return.
func (b *Backend) Forward(stream grpc.ServerStream, method string, first *Frame) error {
	desc := b.shape(method)
	if desc.ClientStreams {
		return b.forwardDuplex(stream, method, first)
	}
	if first == nil {
		first = new(Frame)
		switch err := stream.RecvMsg(first); err {
		case nil:
		case io.EOF: // No request at all: let the runtime say what it thinks of that.
			return b.forwardDuplex(stream, method, nil)
		default:
			return err
		}
	}
	defer first.Free()
	if !desc.ServerStreams {
		return b.Call(stream.Context(), method, first).Send(stream)
	}
	ctx, cancel := context.WithCancel(Outgoing(stream.Context()))
	defer cancel()
	upstream, err := b.newStream(ctx, &desc, method)
	if err != nil {
		return err
	}
	// With one request only, SendMsg also closes the sending side.
	if err := upstream.SendMsg(first); err != nil {
		return err
	}
	return copyAnswers(stream, upstream)
}

// forwardDuplex forwards a call whose client may send any number of messages at any time.
func (b *Backend) forwardDuplex(stream grpc.ServerStream, method string, first *Frame) error {
	ctx, cancel := context.WithCancel(Outgoing(stream.Context()))
	defer cancel()
	upstream, err := b.newStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		if first != nil {
			first.Free()
		}
		return err
	}
	// It ends when the client has no more to send or is gone, when the runtime has
	// ended the call, and at the latest when the handler returns,
	// because that ends the client's stream.
	go func() {
		if err := copyRequests(upstream, stream, first); err != nil {
			cancel()
		}
	}()
	return copyAnswers(stream, upstream)
}

// copyRequests returns an error only if the client can no longer be heard.
func copyRequests(upstream grpc.ClientStream, stream grpc.ServerStream, first *Frame) error {
	frame := first
	for {
		if frame == nil {
			frame = new(Frame)
			switch err := stream.RecvMsg(frame); err {
			case nil:
			case io.EOF:
				return upstream.CloseSend()
			default:
				return err
			}
		}
		err := upstream.SendMsg(frame)
		frame.Free()
		if err != nil {
			return nil // The reason is the call's status, which copyAnswers receives.
		}
		frame = nil
	}
}

// copyAnswers passes header, messages, trailer and status on until the runtime ends the call.
func copyAnswers(stream grpc.ServerStream, upstream grpc.ClientStream) error {
	// Waits for the header, which may come long before the first message. An error is
	// also the status that RecvMsg returns.
	if header, err := upstream.Header(); err == nil && len(header) > 0 {
		if err := stream.SendHeader(header); err != nil {
			return err
		}
	}
	var frame Frame
	for {
		err := upstream.RecvMsg(&frame)
		if err != nil {
			stream.SetTrailer(upstream.Trailer())
			if err == io.EOF {
				return nil
			}
			return err
		}
		err = stream.SendMsg(&frame)
		frame.Free()
		if err != nil {
			return err
		}
	}
}

// traced returns ctx for a call of the proxy's own, as part of the trace of the call
// being served.
func traced(ctx context.Context) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		md = metadata.MD{}
	}
	tracing.Copy(ctx, md)
	tracing.Inject(ctx, md)
	return metadata.NewOutgoingContext(ctx, md)
}
