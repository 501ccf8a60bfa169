package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/pkg/controller"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

const (
	enterHostName = "enter-host"
	// lookEvery is how often a pod looks whether its node is next.
	lookEvery = 5 * time.Second
	// terminationLog is where the kubelet reads the last words of a container.
	terminationLog = "/dev/termination-log"
)

// installNodeCommand sets up the node that it runs on, when that is next.
type installNodeCommand struct {
	host
	rollout controller.Rollout
	pod     string
	listen  string
	remove  bool
	every   time.Duration
}

func newInstallNodeCommand() *cobra.Command {
	var c installNodeCommand
	cmd := &cobra.Command{
		Use:   "install-node",
		Short: "Set up this node, after those that come first",
		Long: `Install-node runs in a privileged DaemonSet. It copies the programs of the image to
its node and runs "imagefit install" there, which verifies itself and takes back what
does not work. The first --canary nodes come first, and --parallel are set up at once.
Its pod is ready once the node is set up. Where that fails, it exits with code 3, and no
other pod begins until the one that failed was deleted. With --remove it runs "imagefit
uninstall", on all nodes at once.`,
		Example: `  imagefit-controller install-node --canary 2 --parallel 1
  imagefit-controller install-node --remove`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	flags.IntVar(&c.rollout.Canary, "canary", 1, "so many nodes are set up before all others")
	flags.IntVar(&c.rollout.Parallel, "parallel", 1, "so many nodes are set up at once; 0 is all, and the cluster is not asked")
	flags.StringVar(&c.rollout.Name, "daemonset", "imagefit-install", "`NAME` of the DaemonSet, by the label app.kubernetes.io/name of its pods")
	flags.StringVar(&c.pod, "pod", "", "`NAME` of the own pod (default: the variable POD_NAME)")
	flags.StringVar(&c.rollout.Namespace, "namespace", "", "`NAMESPACE` of the pods (default: that of the own pod)")
	flags.BoolVar(&c.remove, "remove", false, "take imagefit off the node")
	flags.StringVar(&c.host.programs, "programs", "/usr/bin", "`DIR` with the programs that are installed")
	flags.StringVar(&c.host.lib, "host-lib", "/host/var/lib", "`DIR` where the pod has the node's /var/lib")
	flags.StringVar(&c.host.root, "root", "", "`DIR` with the tree of a node to install into, instead of the node")
	flags.StringVar(&c.listen, "listen", ":9464", "`ADDRESS` of /readyz, also unix:///path, which answers 200 once the node is set up")
	flags.DurationVar(&c.every, "every", lookEvery, "how often it looks whether its node is next")
	return cmd
}

// newEnterHostCommand is what install-node runs itself as.
func newEnterHostCommand() *cobra.Command {
	return &cobra.Command{
		Use: enterHostName, Hidden: true, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return enterHost(args) },
	}
}

// failedError is that the installation failed on this node.
type failedError struct{ error }

func (c *installNodeCommand) run(cmd *cobra.Command) error {
	c.pod = cmp.Or(c.pod, os.Getenv("POD_NAME"))
	if c.pod == "" {
		return errors.New("the name of the pod is not known: give it with --pod or in POD_NAME")
	}
	c.rollout.Namespace = cmp.Or(c.rollout.Namespace, ownNamespace())
	s, err := load(cmd)
	if err != nil {
		return err
	}
	log := s.log
	if !c.remove && c.rollout.Parallel > 0 {
		to, err := connect(cmd)
		if err != nil {
			return err
		}
		c.rollout.Client = to.typed
	}
	done := new(atomic.Bool)
	stop, err := serveReadiness(cmd.Context(), c.listen, done)
	if err != nil {
		return err
	}
	defer stop()
	if err := c.perform(cmd, log); err != nil {
		_ = os.WriteFile(terminationLog, []byte(err.Error()), 0o600) // where there is one
		return failedError{err}
	}
	if cmd.Context().Err() != nil {
		return nil
	}
	done.Store(true)
	log.Info("the node is done", "pod", c.pod)
	<-cmd.Context().Done()
	return nil
}

// perform sets the node up, or takes imagefit off it.
func (c *installNodeCommand) perform(cmd *cobra.Command, log *slog.Logger) error {
	out := cmd.ErrOrStderr()
	if c.remove {
		_, err := c.host.run(out, "uninstall")
		return err
	}
	// Where nothing is to be done, as after a restart of the node, nothing is waited for.
	plan, err := c.host.run(out, "install", "--dry-run", "-o", "json")
	if err != nil {
		return err
	}
	var planned struct {
		Changes []json.RawMessage `json:"changes"`
	}
	if err := json.Unmarshal(plan, &planned); err != nil {
		return fmt.Errorf("read what imagefit install --dry-run prints: %w", err)
	}
	if len(planned.Changes) == 0 {
		return nil
	}
	if c.rollout.Parallel > 0 && !c.await(cmd.Context(), log) {
		return nil
	}
	done, err := c.host.run(out, "install")
	_, _ = out.Write(done)
	return err
}

// await waits until this node is next. It is false where the pod is stopped before.
func (c *installNodeCommand) await(ctx context.Context, log *slog.Logger) bool {
	last := ""
	for {
		ok, waits, err := c.rollout.MayBegin(ctx, c.pod)
		switch {
		case ok:
			return true
		case err != nil:
			waits = err.Error()
		}
		if waits != last {
			log.Info("the node waits", "pod", c.pod, "reason", waits)
		}
		last = waits
		select {
		case <-ctx.Done():
			return false
		case <-time.After(c.every):
		}
	}
}

// serveReadiness answers the kubelet's probes.
func serveReadiness(ctx context.Context, address string, done *atomic.Bool) (stop func(), err error) {
	var listener net.Listener
	if path, isSocket := strings.CutPrefix(address, "unix://"); isSocket {
		listener, err = unixsocket.Listen(path)
	} else {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("serve /readyz: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !done.Load() {
			http.Error(w, "the node is not set up yet", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	return func() { _ = server.Close(); <-ended }, nil
}
