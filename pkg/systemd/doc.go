// Package systemd connects a daemon to the service manager that started it:
// systemd, or another one that speaks sd_notify and socket activation. It takes
// over the activated socket, reports readiness, reloading and stopping, feeds the
// watchdog while the daemon makes progress, and keeps the process small beside
// the workloads of the node.
//
// Without a service manager all of this does nothing.
package systemd
