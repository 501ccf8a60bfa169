// Package service is how a daemon gets along with the service manager that
// started it, systemd or another one that speaks the same protocols: it takes
// the socket that the manager holds, says when it is ready, reloading or
// stopping, and feeds the watchdog as long as it does its work. It also keeps
// the process small beside what else runs on a node.
//
// Without a service manager all of this does nothing.
package systemd
