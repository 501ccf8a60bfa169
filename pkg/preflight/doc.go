// Package preflight compares the configuration with what is on the node: sockets, the
// runtime, the kubelet, the state directory.
package preflight
