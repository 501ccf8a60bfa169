// Package cri is the connection to a container runtime that speaks CRI: calls of
// imagefit's own, calls that are forwarded for a client, and a probe.
//
// Forwarding knows no CRI message: a call is a method name, metadata and frames, and a
// frame is the bytes of one message, which are not decoded. RPCs and fields that this
// build does not know therefore pass through.
//
// A client sees what the runtime answered: all metadata with all values, the deadline,
// response headers, trailers, and the status with its code, message and details. These
// belong to a hop, and no proxy on grpc-go can forward them:
//
//   - user-agent and :authority are reserved headers; the runtime sees ours.
//   - grpc-timeout is what is left of the client's deadline when the call arrives here.
//   - grpc-encoding: messages are decompressed on receipt and sent to the runtime
//     uncompressed. The client is answered in the encoding it used.
//   - content-type reads "application/grpc", the kubelet's own, also where a client sent
//     "application/grpc+proto", which means the same: CRI-O's socket takes nothing else.
//   - grpc-go does not send metadata with characters outside printable ASCII in a key
//     without the -bin suffix, though it receives it. Such a call fails with Internal. No
//     grpc-go client can send one.
//   - A response header that the runtime sends in a unary call before it answers reaches
//     the client with the answer; in streams it goes at once. A message that the runtime
//     sends in a unary call before an error is dropped, as every unary client does.
//
// While the runtime is away calls fail at once with Unavailable, as they would without
// the proxy, and the connection is retried.
package cri
