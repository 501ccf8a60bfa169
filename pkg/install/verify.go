package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/policy"
)

// Verifier proves that what was installed works.
type Verifier interface {
	// Daemons returns once the proxy works, and before the kubelet is pointed at it. The
	// note is what could not be verified.
	Daemons(ctx context.Context) (note string, err error)
	// Kubelet returns once the kubelet works with the proxy.
	Kubelet(ctx context.Context, healthy func() error) (note string, err error)
}

// Node verifies on the node itself, through the real sockets.
type Node struct {
	// Load is the configuration, with what was installed.
	Load func() (config.Config, error)
	// Clients are those of cri-proxy.
	Clients func(ctx context.Context, cfg config.Config) ([]health.ClientStatus, error)
}

// pollEvery is how often the node is looked at until it is as it should be.
const pollEvery = 250 * time.Millisecond

// until repeats a check until it succeeds or the context ends.
func until(ctx context.Context, check func() error) error {
	var last error
	for {
		err := check()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // an end by the context says less than the error before
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(pollEvery):
		}
	}
}

// Daemons implements Verifier.
func (n Node) Daemons(ctx context.Context) (note string, err error) {
	cfg, err := n.Load()
	if err != nil {
		return "", err
	}
	proxy, err := cri.NewBackend(cfg.Proxy.Listen)
	if err != nil {
		return "", err
	}
	defer func() { _ = proxy.Close() }()
	err = until(ctx, func() error {
		if _, err := runtimeapi.NewRuntimeServiceClient(proxy).Version(ctx, &runtimeapi.VersionRequest{}); err != nil {
			return fmt.Errorf("cri-proxy does not serve the runtime at %s: %w", cfg.Proxy.Listen, err)
		}
		_, err := runtimeapi.NewImageServiceClient(proxy).ImageFsInfo(ctx, &runtimeapi.ImageFsInfoRequest{})
		return err
	})
	if err != nil {
		return "", err
	}
	return pullTestImage(ctx, cfg, proxy)
}

// pullTestImage pulls an image through the proxy and looks which variant its name leads to.
// Where the runtime cannot pull from this node at all, that says nothing of the proxy.
func pullTestImage(ctx context.Context, cfg config.Config, proxy *cri.Backend) (note string, err error) {
	image, err := serveTestImage(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = image.close() }()
	id, err := pull(ctx, proxy, image.reference)
	switch {
	case err != nil:
		runtime, backendErr := cri.NewBackend(cfg.Runtime.Endpoint)
		if backendErr != nil {
			return "", backendErr
		}
		defer func() { _ = runtime.Close() }()
		if _, alone := pull(ctx, runtime, image.reference); alone != nil {
			return "which variant is pulled is not verified: the runtime cannot pull from a registry on this node: " + alone.Error(), nil
		}
		return "", fmt.Errorf("pull a test image through cri-proxy, which the runtime pulls alone: %w", err)
	case id == image.second.String():
		return "", nil
	case cfg.Policy.Mode == policy.Audit:
		return "which variant is pulled is not verified: the mode is audit", nil
	}
	return "", fmt.Errorf("the test image leads to the variant that does not fit this node (%s, want %s): see imagefit decisions", id, image.second)
}

// pull pulls an image, looks up what its name leads to, and removes it.
func pull(ctx context.Context, backend *cri.Backend, reference string) (id string, err error) {
	images := runtimeapi.NewImageServiceClient(backend)
	spec := &runtimeapi.ImageSpec{Image: reference}
	if _, err := images.PullImage(ctx, &runtimeapi.PullImageRequest{Image: spec}); err != nil {
		return "", err
	}
	status, err := images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: spec})
	if err == nil && status.GetImage() == nil {
		err = fmt.Errorf("%s was pulled and does not resolve", reference)
	}
	_, removeErr := images.RemoveImage(ctx, &runtimeapi.RemoveImageRequest{Image: spec})
	return status.GetImage().GetId(), errors.Join(err, removeErr)
}

// Kubelet implements Verifier: a kubelet lists images and asks for their file system every
// few seconds, so the proxy sees it soon.
func (n Node) Kubelet(ctx context.Context, healthy func() error) (note string, err error) {
	cfg, err := n.Load()
	if err != nil {
		return "", err
	}
	began := time.Now()
	err = until(ctx, func() error {
		if err := healthy(); err != nil {
			return err
		}
		if cfg.Proxy.HTTPListen == "" {
			note = `that the kubelet calls cri-proxy is not verified: proxy.http_listen is ""`
			return nil
		}
		clients, err := n.Clients(ctx, cfg)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(clients, func(c health.ClientStatus) bool {
			return c.PID != os.Getpid() && c.LastImageCall != nil && c.LastImageCall.After(began)
		}) {
			return errors.New("the kubelet runs, and has not called cri-proxy")
		}
		return nil
	})
	return note, err
}
