package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/integration/stack"
)

const (
	// stateMiB is the disk that state_dir has, and cacheMiB what is configured of it.
	stateMiB, cacheMiB = 32, 8
	// requirePlugin makes the runtime refuse containers while the plugin is away.
	requirePlugin = `
[plugins."io.containerd.nri.v1.nri".default_validator]
  enable = true
  required_plugins = ["imagefit"]
`
	refresh = "1s"
	// recovery is how long a node may take to be as before.
	recovery = 90 * time.Second
)

// node is a containerd with imagefit in front of it, and a registry.
type node struct {
	*stack.Imagefit
	containerd *stack.Containerd
	registry   *stack.Registry
	cri        *stack.CRI // image calls through the proxy, runtime calls beside it
	tree       string     // the root of the node's facts
	pluginHTTP string
	weather    *weather
	required   bool        // the runtime requires the plugin
	avx2       atomic.Bool // that the node has it now
	handovers  int         // for the names of logs
	pluginLog  string

	mu sync.Mutex // of which process is the plugin
}

func startNode(ctx context.Context, required bool) (_ *node, err error) {
	n := &node{weather: &weather{}, required: required}
	var options stack.Options
	if required {
		options.Extra = requirePlugin
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	if n.containerd, err = stack.StartContainerd(ctx, options); err != nil {
		return nil, err
	}
	if n.registry, err = stack.NewRegistry(); err != nil {
		return nil, err
	}
	state := filepath.Join(n.containerd.Dir, "imagefit")
	if err := os.Mkdir(state, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, fmt.Sprintf("size=%dm,nr_inodes=20000", stateMiB)); err != nil {
		return nil, fmt.Errorf("mount the disk of the state folder: %w", err)
	}
	n.tree = filepath.Join(n.containerd.Dir, "host")
	if err := n.writeTree(true); err != nil {
		return nil, err
	}
	if n.Imagefit, err = n.containerd.NewImagefit(ctx, n.settings()); err != nil {
		return nil, err
	}
	n.pluginLog = n.Plugin.Log
	n.pluginHTTP = filepath.Join(n.containerd.Dir, "plugin-http.sock")
	if n.cri, err = n.containerd.ImagesVia(n.Socket); err != nil {
		return nil, err
	}
	if err := n.StartProxy(ctx); err != nil {
		return nil, err
	}
	return n, n.StartPlugin(ctx)
}

// settings are imagefit's. All that can grow is bounded so that it is full in minutes.
func (n *node) settings() stack.Settings {
	return stack.Settings{
		Cache: fmt.Sprintf("referrers_ttl = \"2s\"\nmax_size_mib = %d", cacheMiB),
		Facts: fmt.Sprintf("refresh = %q\nroot = %q", refresh, n.tree),
	}
}

// stop ends everything; the folder of containerd goes with it.
func (n *node) stop() error {
	var errs []error
	if n.cri != nil {
		errs = append(errs, n.cri.Close())
	}
	if n.Imagefit != nil {
		errs = append(errs, n.Stop())
	}
	if n.registry != nil {
		errs = append(errs, n.registry.Close())
	}
	if n.containerd != nil {
		errs = append(errs, n.containerd.Stop())
	}
	return errors.Join(errs...)
}

const flags = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx lm " +
	"pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm avx bmi1 bmi2 f16c fma abm movbe xsave osxsave"

// writeTree writes what the facts are read from.
func (n *node) writeTree(avx2 bool) error {
	cpu := flags
	if avx2 {
		cpu += " avx2"
	}
	for name, text := range map[string]string{
		"proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\n" +
			"model name\t: Test CPU\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\nflags\t\t: " + cpu + "\n\n",
		"proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
		"proc/modules":              "overlay 1 0 - Live 0x0\n",
		"etc/os-release":            "ID=debian\nVERSION_ID=\"12\"\n",
		"boot/config-6.1.0-18-amd64": func() string {
			var options strings.Builder
			for i := range 2000 {
				fmt.Fprintf(&options, "CONFIG_AN_OPTION_%06d=y\n", i)
			}
			return options.String()
		}(),
	} {
		if err := replace(filepath.Join(n.tree, name), text); err != nil {
			return err
		}
	}
	n.avx2.Store(avx2)
	return nil
}

// replace writes a file in one step.
func replace(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// await polls until ready returns nil.
func await(ctx context.Context, what string, ready func(ctx context.Context) error) error {
	for deadline := time.Now().Add(recovery); ; {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ready(once)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("%s after %s: %w", what, recovery, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// recovered waits until the whole node works again.
func (n *node) recovered(ctx context.Context) error {
	return errors.Join(
		await(ctx, "images cannot be listed through the proxy", func(ctx context.Context) error {
			_, err := n.cri.List(ctx)
			return err
		}),
		n.connected(ctx, 0),
	)
}

// connected waits until the plugin is, for more than so many sessions of this process.
func (n *node) connected(ctx context.Context, sessions uint64) error {
	return await(ctx, "the plugin is not connected", func(ctx context.Context) error {
		status, err := statusOf(ctx, n.pluginHTTP)
		switch {
		case err != nil:
			return err
		case status.NRI == nil || !status.NRI.Connected || status.NRI.Sessions <= sessions:
			return fmt.Errorf("its status has %+v", status.NRI)
		}
		return nil
	})
}
