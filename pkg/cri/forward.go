package cri

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/imagefit/imagefit/pkg/tracing"
)

// Outgoing returns ctx with the metadata of the call that it serves made ready to be
// sent to the runtime. Deadline and cancellation are inherited.
func Outgoing(ctx context.Context) context.Context {
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return ctx
	}
	// This belongs to the hop, like the headers that gRPC itself leaves out; it would be
	// sent twice.
	delete(md, "grpc-accept-encoding")
	tracing.Inject(ctx, md)
	return metadata.NewOutgoingContext(ctx, md)
}

// Answer is all that the runtime answers to one unary call.
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

// Send passes the answer to the client as it is and frees the message. The handler must
// return what Send returns.
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
// the client. The handler must return what Forward returns.
func (b *Backend) Forward(stream grpc.ServerStream, method string) error {
	desc := b.StreamDesc(method)
	if desc.ClientStreams {
		return b.forwardDuplex(stream, method)
	}
	var request Frame
	err := stream.RecvMsg(&request)
	if errors.Is(err, io.EOF) { // no request at all: the runtime says what it makes of that
		return b.forwardDuplex(stream, method)
	}
	if err != nil {
		return err
	}
	defer request.Free()
	if !desc.ServerStreams {
		return b.Call(stream.Context(), method, &request).Send(stream)
	}
	return b.Relay(stream, method, &request, nil)
}

// Relay passes the one request of a call on to the runtime, and every message that it
// answers back to the client, each after change, where set, has changed it. The handler
// must return what Relay returns; the request stays the caller's.
func (b *Backend) Relay(stream grpc.ServerStream, method string, request *Frame, change func(*Frame) error) error {
	ctx, cancel := context.WithCancel(Outgoing(stream.Context()))
	defer cancel()
	upstream, err := b.newStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	// With one request only, SendMsg also closes the sending side.
	if err := upstream.SendMsg(request); err != nil {
		return err
	}
	return copyAnswers(stream, upstream, change)
}

// forwardDuplex forwards a call whose client may send any number of messages at any time.
func (b *Backend) forwardDuplex(stream grpc.ServerStream, method string) error {
	ctx, cancel := context.WithCancel(Outgoing(stream.Context()))
	defer cancel()
	upstream, err := b.newStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	// This goroutine ends when the client has no more to send or is gone, when the
	// runtime has ended the call, and at the latest when the handler returns, because
	// that ends the client's stream.
	go func() {
		if err := copyRequests(upstream, stream); err != nil {
			cancel()
		}
	}()
	return copyAnswers(stream, upstream, nil)
}

// copyRequests returns an error only if nothing more can be received from the client.
func copyRequests(upstream grpc.ClientStream, stream grpc.ServerStream) error {
	var frame Frame
	for {
		err := stream.RecvMsg(&frame)
		if errors.Is(err, io.EOF) {
			return upstream.CloseSend()
		}
		if err != nil {
			return err
		}
		err = upstream.SendMsg(&frame)
		frame.Free()
		if err != nil {
			return nil //nolint:nilerr // the reason is the call's status, which copyAnswers receives
		}
	}
}

// copyAnswers passes header, messages, trailer and status on until the runtime ends the
// call. Where change is set, it may change each message.
func copyAnswers(stream grpc.ServerStream, upstream grpc.ClientStream, change func(*Frame) error) error {
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
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if change != nil {
			err = change(&frame)
		}
		if err == nil {
			err = stream.SendMsg(&frame)
		}
		frame.Free()
		if err != nil {
			return err
		}
	}
}
