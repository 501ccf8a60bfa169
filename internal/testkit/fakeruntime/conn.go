package fakeruntime

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Conn connects to the runtime within the process: without a socket, so that it
// also works where time is that of testing/synctest.
func (r *Runtime) Conn() grpc.ClientConnInterface {
	c := conn{}
	r.Register(c)
	return c
}

// conn is a server and the connection to it, by the name of the service.
type conn map[string]service

type service struct {
	desc *grpc.ServiceDesc
	impl any
}

// RegisterService implements grpc.ServiceRegistrar.
func (c conn) RegisterService(desc *grpc.ServiceDesc, impl any) {
	c[desc.ServiceName] = service{desc, impl}
}

// Invoke implements grpc.ClientConnInterface.
func (c conn) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	name, method, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	for _, m := range methodsOf(c[name].desc) {
		if m.MethodName != method {
			continue
		}
		answer, err := m.Handler(c[name].impl, incoming(ctx), func(into any) error { return merge(into, args) }, nil)
		if err != nil {
			return asStatus(err)
		}
		return merge(reply, answer)
	}
	return status.Errorf(codes.Unimplemented, "unknown method %s of service %s", method, name)
}

func methodsOf(desc *grpc.ServiceDesc) []grpc.MethodDesc {
	if desc == nil {
		return nil
	}
	return desc.Methods
}

// NewStream implements grpc.ClientConnInterface, for streams of one request.
func (c conn) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	name, method, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if service, ok := c[name]; ok {
		for _, d := range service.desc.Streams {
			if d.StreamName == method {
				return &clientStream{ctx: ctx, handler: d.Handler, impl: service.impl, answers: make(chan proto.Message)}, nil
			}
		}
	}
	return nil, status.Errorf(codes.Unimplemented, "unknown method %s of service %s", method, name)
}

// clientStream is the client's end; the handler runs from the request on.
type clientStream struct {
	grpc.ClientStream

	ctx     context.Context
	handler grpc.StreamHandler
	impl    any
	answers chan proto.Message
	err     error // once answers is closed
}

func (s *clientStream) Context() context.Context { return s.ctx }
func (s *clientStream) CloseSend() error         { return nil }

func (s *clientStream) SendMsg(request any) error {
	go func() {
		defer close(s.answers)
		s.err = s.handler(s.impl, &serverStream{ctx: incoming(s.ctx), request: request, client: s})
	}()
	return nil
}

func (s *clientStream) RecvMsg(into any) error {
	select {
	case answer, ok := <-s.answers:
		switch {
		case ok:
			return merge(into, answer)
		case s.err == nil:
			return io.EOF
		}
		return asStatus(s.err)
	case <-s.ctx.Done():
		return asStatus(s.ctx.Err())
	}
}

type serverStream struct {
	grpc.ServerStream

	ctx     context.Context
	request any
	client  *clientStream
}

func (s *serverStream) Context() context.Context     { return s.ctx }
func (s *serverStream) RecvMsg(into any) error       { return merge(into, s.request) }
func (s *serverStream) SendHeader(metadata.MD) error { return nil }

func (s *serverStream) SendMsg(answer any) error {
	select {
	case s.client.answers <- proto.Clone(answer.(proto.Message)):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func incoming(ctx context.Context) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	return metadata.NewIncomingContext(ctx, md)
}

func merge(into, from any) error {
	to, ok := into.(proto.Message)
	if !ok {
		return errors.New("not a message")
	}
	proto.Reset(to)
	proto.Merge(to, from.(proto.Message))
	return nil
}

// asStatus is what an error becomes on its way over gRPC.
func asStatus(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Convert(err).Err()
}
