package cri

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"
)

// Frame is one message as it came from the wire. It has a reference to pooled buffers
// until Free is called; a Frame that is never freed costs the pool a buffer but leaks
// nothing.
type Frame struct {
	payload mem.BufferSlice
}

// NewFrame makes a Frame of b, which must not be changed afterwards.
func NewFrame(b []byte) *Frame {
	return &Frame{payload: mem.BufferSlice{mem.SliceBuffer(b)}}
}

// Bytes returns a copy of the message, which stays valid after Free.
func (f *Frame) Bytes() []byte { return f.payload.Materialize() }

// Decode parses the message into m.
func (f *Frame) Decode(m protobuf.Message) error {
	buf := f.payload.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return protobuf.Unmarshal(buf.ReadOnlyData(), m)
}

// Free gives the buffers back. The Frame is empty afterwards and can be used again.
func (f *Frame) Free() {
	f.payload.Free()
	f.payload = nil
}

// frameCodec passes a *Frame through as it is, and leaves every other message to
// gRPC's own protobuf codec.
type frameCodec struct {
	encoding.CodecV2
}

// Name is empty, since gRPC appends the name of a codec that a call forces to the
// content type. A call without a codec of its own, such as the kubelet's, has plain
// "application/grpc", and CRI-O closes connections that begin with anything else.
func (frameCodec) Name() string { return "" }

// Codec returns the codec with which a client or a server sends and receives frames
// beside protobuf messages.
func Codec() encoding.CodecV2 { return frameCodec{encoding.GetCodecV2(proto.Name)} }

// Marshal takes a reference for gRPC, which frees it once the bytes are
// written; the Frame keeps its own.
func (c frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*Frame)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	f.payload.Ref()
	return f.payload, nil
}

// Unmarshal takes a reference of the Frame's own, because gRPC frees data
// as soon as Unmarshal returns.
func (c frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*Frame)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	data.Ref()
	f.payload.Free()
	f.payload = data
	return nil
}
