// Package criproxy is the gRPC server that stands between a CRI client (the
// kubelet, crictl) and the container runtime.
//
// The files frame.go, forward.go, socket.go, gate.go, server.go, calls.go and drain.go are
// the forwarding layer. It knows no CRI message: a call is a method name, metadata and frames,
// and a frame is the bytes of one message, which nobody decodes. So RPCs and
// fields that this build has never heard of pass through. Only the methods named in
// [Options].Intercept reach a [Handler] instead.
//
// What a client sees is what the runtime said: all metadata with all values,
// the deadline, response headers, trailers, and the status with its code,
// message and details. These things belong to a hop and cannot be forwarded by
// any grpc-go proxy:
//
//   - user-agent and :authority are reserved headers; the runtime sees ours.
//   - grpc-timeout is what is left of the client's deadline when the call
//     arrives here.
//   - grpc-encoding: messages are decompressed on receipt and sent to the
//     runtime uncompressed. The client is answered in the encoding it used.
//   - content-type reads "application/grpc+proto" where a client may have sent
//     plain "application/grpc"; both mean the same.
//   - grpc-go refuses to send metadata with characters outside printable ASCII
//     in a key without the -bin suffix, though it does receive it. Such a call fails with
//     Internal. No grpc-go client can send one.
//   - A response header that the runtime sends early in a unary call, before it
//     answers, reaches the client with the answer. In streams it goes at once. A message that the runtime
//     sends in a unary call before an error is dropped, as every unary client does.
//
// While the runtime is away calls fail at once with Unavailable, as they would
// without the proxy, and the connection is tried again for ever.
package criproxy
