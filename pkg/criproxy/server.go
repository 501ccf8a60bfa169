package criproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

const (
	// unaryGrace is how long Shutdown waits for calls that only pass through.
	unaryGrace = 2 * time.Second
	// streamWorkers keep their grown stacks from call to call, which makes a small call
	// a tenth cheaper. More of them than calls at a time make it dearer again.
	streamWorkers = 4
	// flushGrace is how long Shutdown waits for the last answers to be written.
	flushGrace = 500 * time.Millisecond
)

// Handler answers one call that the proxy does not just forward. It may receive
// and send a *Frame or a protobuf message.
type Handler func(stream grpc.ServerStream) error

// Options are what a Server is made of.
type Options struct {
	Backend   *Backend
	Log       *slog.Logger
	Intercept map[string]Handler // by full method, such as "/runtime.v1.ImageService/PullImage"
}

// Server answers CRI clients: the intercepted methods by their handlers, all
// others by the runtime.
type Server struct {
	backend *Backend
	log     *slog.Logger
	grpc    *grpc.Server
	calls   *calls
}

// New makes a Server. It panics if a key of Intercept is not of the
// form /service/method.
func New(opts Options) *Server {
	s := &Server{backend: opts.Backend, log: opts.Log, calls: newCalls()}
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(newFrameCodec()),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.NumStreamWorkers(streamWorkers),
		// gRPC's default hangs up on clients that ping more than once in five minutes. The
		// proxy must not be stricter than any runtime, so there is no limit; zero would mean the default.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Nanosecond, PermitWithoutStream: true}),
		grpc.UnknownServiceHandler(s.passThrough),
	)
	// Methods that are not in the description of a registered service go to the
	// unknown service handler just like unknown services.
	for name, desc := range s.interceptors(opts.Intercept) {
		desc.ServiceName = name
		s.grpc.RegisterService(desc, nil)
	}
	return s
}

// interceptors groups the handlers by service. All are described as streams,
// since only those see frames and headers as they are; on the wire there is no difference.
func (s *Server) interceptors(handlers map[string]Handler) map[string]*grpc.ServiceDesc {
	services := map[string]*grpc.ServiceDesc{}
	for method, handler := range handlers {
		service, name, ok := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		if !ok || service == "" || name == "" || method[0] != '/' {
			panic(fmt.Sprintf("criproxy: intercepted method %q is not of the form /service/method", method))
		}
		if services[service] == nil {
			services[service] = &grpc.ServiceDesc{}
		}
		desc := s.backend.shape(method)
		desc.StreamName = name
		desc.Handler = func(_ any, stream grpc.ServerStream) error {
			return s.serve(intercepted, method, stream, handler)
		}
		services[service].Streams = append(services[service].Streams, desc)
	}
	return services
}

// passThrough forwards a call of any method that is not intercepted.
func (s *Server) passThrough(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	kind := unary
	if shape := s.backend.shape(method); shape.ServerStreams || shape.ClientStreams {
		kind = streaming
	}
	return s.serve(kind, method, stream, func(stream grpc.ServerStream) error {
		return s.backend.Forward(stream, method, nil)
	})
}

// serve runs one call: counted for Shutdown, and with any panic turned into an error.
func (s *Server) serve(kind callKind, method string, stream grpc.ServerStream, handler Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while serving a call", "method", method, "panic", p, "stack", string(debug.Stack()))
			err = status.Errorf(codes.Internal, "imagefit: internal error in %s, see the log of the proxy", method)
		}
	}()
	if !s.calls.enter(kind) {
		return errStopping()
	}
	defer s.calls.leave(kind)
	if kind == unary {
		return handler(stream) // The bulk of all calls; short, so nothing need end them early.
	}
	ctx, release := s.calls.bind(stream.Context())
	defer release()
	err = handler(boundStream{ServerStream: stream, ctx: ctx})
	if err != nil && context.Cause(ctx) == errStopped {
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

// Serve answers the clients of listener until Shutdown, and then returns nil.
func (s *Server) Serve(listener net.Listener) error {
	if err := s.grpc.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

// Shutdown refuses new calls, waits for the intercepted ones that run until ctx ends, gives
// the others a short grace and then stops. Streams that may never end
// are ended, not waited for. It returns ctx's error if calls had to be cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	running := s.calls.close()
	s.log.Info("shutting down", "intercepted_calls", running)
	err := s.calls.wait(ctx, intercepted)
	if err != nil {
		err = fmt.Errorf("wait for running calls: %w", err)
	}
	grace, cancel := context.WithTimeout(ctx, unaryGrace)
	defer cancel()
	_ = s.calls.wait(grace, unary) // Past the grace they are cut off; that is no error.

	// Ending the streams by their contexts and stopping gracefully lets clients have a status,
	// and lets the answers of calls that have just ended reach them.
	s.calls.stop()
	stopped := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
		return err
	case <-time.After(flushGrace):
	}
	s.grpc.Stop()
	select {
	case <-stopped:
	case <-time.After(flushGrace): // A handler that does not heed its context.
	}
	return err
}
