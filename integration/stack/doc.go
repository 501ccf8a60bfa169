// Package stack runs the real programs around imagefit for tests and the demo:
// containerd with runc and NRI, registries of several manners, images and their
// compatibility artifacts, a CRI client that behaves as a kubelet does, and a real
// kubelet.
//
// Nothing here is a fake: [StartContainerd] is the real daemon in a temporary
// folder, and [Containerd.Stop] leaves no process, mount, cgroup or file behind.
// What a registry does wrong is injected in front of a real one ([Fault]).
package stack
