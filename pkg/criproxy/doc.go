// Package criproxy is the gRPC server between a CRI client (the
// kubelet, crictl) and the container runtime. It forwards every call untouched, as
// package cri does, except the methods named in [Options].Intercept, which reach a
// [Handler]: PullImage, which [Puller] answers with the variant that fits the node.
//
// server.go, calls.go, drain.go and handover.go serve calls and end without failing
// any; pull.go, decide.go, choice.go, fallback.go and unpullable.go are about pulls.
package criproxy
