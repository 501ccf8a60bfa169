// Package daemon is what cri-proxy and nri-plugin share: command line, facts,
// configuration and its reload, decision log, health and metrics.
package daemon
