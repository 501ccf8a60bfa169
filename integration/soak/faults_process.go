package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// drain is how long a daemon may take to end: the pulls that it serves end first.
const drain = 30 * time.Second

// processFaults are what becomes of processes. While the runtime is away, so is the plugin.
func processFaults() []fault {
	return []fault{
		{"cri-proxy is killed", proxyAway, killed((*node).proxy, (*stack.Imagefit).StartProxy)},
		{"cri-proxy is restarted", proxyAway, restarted((*node).proxy, (*stack.Imagefit).StartProxy)},
		{"cri-proxy hangs (SIGSTOP)", proxyAway, stopped((*node).proxy)},
		{"nri-plugin is killed", pluginAway, killed((*node).plugin, (*stack.Imagefit).StartPlugin)},
		{"nri-plugin is restarted", pluginAway, restarted((*node).plugin, (*stack.Imagefit).StartPlugin)},
		{"nri-plugin hangs (SIGSTOP)", pluginAway, stopped((*node).plugin)},
		{"the next nri-plugin takes over", 0, takeover},
		{"containerd is killed", runtimeAway | pluginAway, func(ctx context.Context, n *node, _ *rand.Rand) (func() error, error) {
			return both(func() error { return n.containerd.Start(ctx) }, n.forgetFailures), n.containerd.Kill()
		}},
		{"containerd is restarted", runtimeAway | pluginAway, func(ctx context.Context, n *node, _ *rand.Rand) (func() error, error) {
			return n.forgetFailures, n.containerd.Restart(ctx)
		}},
		{"containerd hangs (SIGSTOP)", runtimeAway | pluginAway, func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
			cont := func() error { return n.containerd.Process.Signal(syscall.SIGCONT) }
			return both(cont, n.forgetFailures), n.containerd.Process.Signal(syscall.SIGSTOP)
		}},
	}
}

// beginner begins a fault.
type beginner = func(context.Context, *node, *rand.Rand) (func() error, error)

func (n *node) proxy() *stack.Process { return n.Proxy }

// plugin is the process that is the plugin now; one may follow the other.
func (n *node) plugin() *stack.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Plugin
}

func killed(of func(*node) *stack.Process, start func(*stack.Imagefit, context.Context) error) beginner {
	return func(ctx context.Context, n *node, _ *rand.Rand) (func() error, error) {
		return func() error { return start(n.Imagefit, ctx) }, of(n).Kill()
	}
}

func restarted(of func(*node) *stack.Process, start func(*stack.Imagefit, context.Context) error) beginner {
	return func(ctx context.Context, n *node, _ *rand.Rand) (func() error, error) {
		err := of(n).Stop(drain)
		return func() error { return nil }, errors.Join(err, start(n.Imagefit, ctx))
	}
}

func stopped(of func(*node) *stack.Process) beginner {
	return func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
		process := of(n)
		return func() error { return process.Signal(syscall.SIGCONT) }, process.Signal(syscall.SIGSTOP)
	}
}

// takeover starts another plugin before the one that runs is stopped, as an upgrade does. It leaves
// no gap.
func takeover(ctx context.Context, n *node, _ *rand.Rand) (func() error, error) {
	old := n.plugin()
	n.handovers++
	next := &stack.Process{Path: old.Path, Args: old.Args, Log: fmt.Sprintf("%s.%d", n.pluginLog, n.handovers)}
	n.mu.Lock()
	n.Plugin = next
	n.mu.Unlock()
	if err := next.Start(); err != nil {
		return nil, err
	}
	if err := n.AwaitPlugin(ctx, 0); err != nil {
		return nil, err
	}
	wait(ctx, 500*time.Millisecond) // Synchronize has returned to the runtime
	return func() error { return nil }, old.Stop(drain)
}
