package main

import (
	"context"
	"errors"
	"sync"

	"k8s.io/client-go/kubernetes"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/controller"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/metrics"
)

// observe serves metrics, health and status until stop is called.
func (i *instance) observe() (stop func()) {
	i.metrics.WatchCache(i.cache, metrics.Sizes(i.cache))
	server := health.New(health.Options{
		Checks:  []health.Check{{Name: "apiserver", Probe: func(ctx context.Context) error { return reach(ctx, i.cluster.typed) }}},
		Metrics: i.metrics.Handler(i.log),
		Status: func() health.Status {
			return health.Status{
				Program: controller.Program, Version: cli.BuildVersion(version), Started: i.started, Mode: i.cfg.Policy.Mode,
				Config: health.ConfigStatus{Loaded: i.started}, Cache: health.CacheStatus{Limit: i.cache.Limit()},
				Decisions: map[string]uint64{}, SilentHosts: []health.SilentHost{},
			}
		},
		Log: i.log,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { server.Run(ctx, i.cfg.Controller.HTTPListen) })
	return func() {
		cancel()
		serving.Wait()
		server.Close()
	}
}

// reach reports whether the API server answers.
func reach(ctx context.Context, client kubernetes.Interface) error {
	if err := client.Discovery().RESTClient().Get().AbsPath("/livez").Do(ctx).Error(); err != nil {
		return errors.New("the API server does not answer")
	}
	return nil
}
