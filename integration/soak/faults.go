package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
)

// fault is something that goes wrong. begin returns what ends it; trouble is what it lets fail
// from its begin until the node has recovered.
type fault struct {
	name    string
	trouble trouble
	begin   func(ctx context.Context, n *node, random *rand.Rand) (undo func() error, err error)
}

// faults are all that there are.
func faults() []fault {
	return slices.Concat(registryFaults(), processFaults(), diskFaults(), operatorFaults())
}

// forgetFailures lets the proxy forget which hosts and variants failed: it leaves them out for longer
// than a fault lasts here.
func (n *node) forgetFailures() error {
	if !n.Proxy.Running() {
		return nil
	}
	return n.Proxy.Signal(syscall.SIGHUP)
}

// both does one thing and then another, also where the first fails.
func both(a, b func() error) func() error {
	return func() error { return errors.Join(a(), b()) }
}
