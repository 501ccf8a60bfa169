package criproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/pkg/cri"
)

// streamWorkers keep their grown stacks from call to call, which makes a small call a
// tenth cheaper. More of them than concurrent calls make it more expensive again.
const streamWorkers = 4

// Handler answers one call that the proxy does not just forward. It may receive and send
// a [cri.Frame] or a protobuf message.
type Handler func(stream grpc.ServerStream) error

// Options are what a Server is made of.
type Options struct {
	Backend   *cri.Backend
	Log       *slog.Logger
	Intercept map[string]Handler // by full method, such as "/runtime.v1.ImageService/PullImage"
}

// Server answers CRI clients: the intercepted methods by their handlers, all
// others by the runtime.
type Server struct {
	backend  *cri.Backend
	log      *slog.Logger
	handlers map[string]Handler
	calls    *calls
	clients  *clients
	loop     *loop

	mu          sync.Mutex
	handover    *handoverListener // once there is a listener
	generations []*generation     // the last one takes the connections
	ended       bool
	ending      sync.Once
	tasks       sync.WaitGroup // of Shutdown, which waits for them
}

// generation is one gRPC server. There is a second one only where calls still run in the
// first when it has sent its clients away; see Shutdown.
type generation struct {
	server     *Server
	grpc       *grpc.Server
	streams    context.Context // of its streams, besides their own
	endStreams context.CancelCauseFunc
	gone       chan struct{} // closed when no client is left
}

// New makes a Server. It panics if a key of Intercept is not of the
// form /service/method.
func New(opts Options) *Server {
	s := &Server{backend: opts.Backend, log: opts.Log, handlers: opts.Intercept, calls: newCalls(), clients: newClients(opts.Log), loop: &loop{log: opts.Log}}
	s.generations = []*generation{s.newGeneration()}
	return s
}

func (s *Server) newGeneration() *generation {
	g := &generation{server: s, gone: make(chan struct{})}
	g.streams, g.endStreams = context.WithCancelCause(context.Background())
	g.grpc = grpc.NewServer(append(cri.ServerOptions(),
		grpc.NumStreamWorkers(streamWorkers),
		// By default gRPC disconnects clients that ping more than once in five minutes. The
		// proxy must not be stricter than any runtime, so there is no limit; zero would mean
		// the default.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Nanosecond, PermitWithoutStream: true}),
		grpc.UnknownServiceHandler(g.passThrough),
	)...)
	// Methods that are not in the description of a registered service go to the
	// unknown service handler just like unknown services.
	for name, desc := range g.interceptors(s.handlers) {
		desc.ServiceName = name
		g.grpc.RegisterService(desc, nil)
	}
	return g
}

// interceptors groups the handlers by service. All are described as streams,
// since only those see frames and headers as they are; on the wire there is no difference.
func (g *generation) interceptors(handlers map[string]Handler) map[string]*grpc.ServiceDesc {
	services := map[string]*grpc.ServiceDesc{}
	for method, handler := range handlers {
		service, name, ok := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		if !ok || service == "" || name == "" || method[0] != '/' {
			panic(fmt.Sprintf("criproxy: intercepted method %q is not of the form /service/method", method))
		}
		if services[service] == nil {
			services[service] = &grpc.ServiceDesc{}
		}
		desc := g.server.backend.StreamDesc(method)
		desc.StreamName = name
		desc.Handler = func(_ any, stream grpc.ServerStream) error {
			return g.serve(g.kindOf(method), method, stream, handler)
		}
		services[service].Streams = append(services[service].Streams, desc)
	}
	return services
}

// passThrough forwards a call of any method that is not intercepted.
func (g *generation) passThrough(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	return g.serve(g.kindOf(method), method, stream, func(stream grpc.ServerStream) error {
		return g.server.backend.Forward(stream, method)
	})
}

func (g *generation) kindOf(method string) callKind {
	shape := g.server.backend.StreamDesc(method)
	switch {
	case shape.ServerStreams || shape.ClientStreams:
		return streaming
	case method == PullImage:
		return intercepted
	}
	return unary
}

// serve runs one call: counted for Shutdown, and with any panic turned into an error.
func (g *generation) serve(kind callKind, method string, stream grpc.ServerStream, handler Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.server.log.Error("panic while serving a call", "method", method, "panic", p, "stack", string(debug.Stack()))
			err = status.Errorf(codes.Internal, "imagefit: internal error in %s, see the log of the proxy", method)
		}
		g.server.calls.ended.add(kind, err)
	}()
	if !g.server.calls.enter(kind) {
		return errStopping()
	}
	defer g.server.calls.leave(kind)
	if g.server.backend.HasPassed(stream.Context()) {
		return g.server.loop.refuse(g.server.handover.listener.Addr(), g.server.backend.Endpoint(method))
	}
	g.server.clients.called(stream.Context(), method)
	end := g.server.calls.cut
	switch kind {
	case unary:
		return handler(stream) // most calls are these; they are short, so nothing need end them early
	case streaming:
		end = g.streams
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	defer context.AfterFunc(end, func() { cancel(errStopped) })()
	err = handler(boundStream{ServerStream: stream, ctx: ctx})
	if err != nil && errors.Is(context.Cause(ctx), errStopped) {
		return errStopping()
	}
	return err
}

// errStopping is the answer to calls that the proxy no longer serves.
func errStopping() error {
	return status.Error(codes.Unavailable, "imagefit: the proxy is shutting down, try again when it is back")
}

// boundStream is a stream that also ends when the server does.
type boundStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context is the context of the call.
func (b boundStream) Context() context.Context { return b.ctx }

// Serve answers the clients of listener until Shutdown, and then returns nil. It
// closes the listener.
func (s *Server) Serve(listener Listener) error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return listener.Close()
	}
	s.handover = &handoverListener{listener: listener, clients: s.clients, handshaking: map[*pendingConn]bool{}}
	first, connections := s.generations[0], s.handover.next()
	s.mu.Unlock()
	err := first.grpc.Serve(connections)
	if err == nil {
		return nil // Shutdown closes the listener: a later generation may still serve
	}
	_ = listener.Close()
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", listener.Addr(), err)
}
