package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
)

// operatorFaults are what changes on a node: its facts, and its configuration.
func operatorFaults() []fault {
	return []fault{
		{"the CPU loses AVX2", factsMoving, func(ctx context.Context, n *node, _ *rand.Rand) (func() error, error) {
			return func() error { return n.change(ctx, func() error { return n.writeTree(true) }) },
				n.change(ctx, func() error { return n.writeTree(false) })
		}},
		{"facts.d says that there is no AVX2", factsMoving, func(ctx context.Context, n *node, _ *rand.Rand) (func() error, error) {
			path := filepath.Join(n.tree, "etc/imagefit/facts.d/10-soak.toml")
			say := func() error { return replace(path, "version = 1\nabsent = [\"cpu.cpuid/AVX2\"]\n") }
			return func() error { return n.change(ctx, func() error { return os.Remove(path) }) }, n.change(ctx, say)
		}},
		{"AVX2 is gone for long", 0, awayForLong},
		{"facts.d has a mistake", 0, func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
			path := filepath.Join(n.tree, "etc/imagefit/facts.d/20-mistake.toml")
			return func() error { return os.Remove(path) }, replace(path, "version = 1\nabsent = [\"cpu.cpuid/AVX2\"\n")
		}},
		{"the configuration has a mistake", 0, func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
			good, err := os.ReadFile(n.Config)
			if err != nil {
				return nil, err
			}
			mend := func() error { return errors.Join(replace(n.Config, string(good)), n.reload()) }
			return mend, errors.Join(replace(n.Config, string(good)+"\n[policy]\nmode = \"dream\"\n"), n.reload())
		}},
		{"both daemons reload", 0, func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
			return n.reload, n.reload()
		}},
	}
}

// awayForLong lets what needs AVX2 not fit for as long as the fault lasts, once that is known.
func awayForLong(ctx context.Context, n *node, _ *rand.Rand) (func() error, error) {
	change := func(avx2 bool) error {
		end := n.weather.begin("facts change", factsMoving)
		defer end()
		return n.change(ctx, func() error { return n.writeTree(avx2) })
	}
	return func() error { return change(true) }, change(false)
}

func (n *node) reload() error {
	return errors.Join(n.Proxy.Signal(syscall.SIGHUP), n.plugin().Signal(syscall.SIGHUP))
}

// change changes the facts of the node and waits until both daemons know.
func (n *node) change(ctx context.Context, change func() error) error {
	sockets := []string{n.HTTP, n.pluginHTTP}
	before := map[string]string{}
	for _, socket := range sockets {
		s, err := statusOf(ctx, socket)
		if err != nil {
			return err
		}
		before[socket] = s.Facts.Fingerprint
	}
	if err := change(); err != nil {
		return err
	}
	for _, socket := range sockets {
		err := await(ctx, "the facts have not changed", func(ctx context.Context) error {
			s, err := statusOf(ctx, socket)
			if err == nil && s.Facts.Fingerprint == before[socket] {
				err = fmt.Errorf("%s does not know", socket)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
