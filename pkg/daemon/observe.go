package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/metrics"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Facts are stale at this age, unless fewer refreshes than this were missed.
const (
	staleAge    = 5 * time.Minute
	staleMissed = 5
)

// Observe serves metrics, health and status at an address until stop is called.
// ready are the checks of the program itself. It must be called once only.
func (d *Daemon) Observe(address string, ready ...health.Check) (stop func()) {
	sizes := metrics.Sizes(d.Cache)
	server := health.New(health.Options{
		Checks:  append(ready, d.configCheck(), d.factsCheck(), d.stateCheck()),
		Metrics: d.Metrics.Handler(d.Log),
		Status:  func() health.Status { return d.status(sizes) },
		Log:     d.Log,
	})
	d.Metrics.WatchFacts(d.Facts)
	d.Metrics.WatchCache(d.Cache, sizes)
	d.Metrics.WatchBreaker(d.breaker)
	if d.Audit != nil {
		d.Metrics.WatchAudit(func() *health.AuditStatus { return auditStatus(d.Audit) })
	}
	d.Metrics.WatchChecks(func() (bool, map[string]bool) {
		all, results := server.Check()
		passing := map[string]bool{}
		for _, r := range results {
			passing[r.Name] = r.OK
		}
		return all, passing
	})
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { server.Run(ctx, address) })
	return func() {
		cancel()
		serving.Wait()
		server.Close()
	}
}

// configCheck fails while the configuration on disk cannot be loaded. Another one is in
// use then, so this is a warning. What is wrong stays in the log, since /readyz is public.
func (d *Daemon) configCheck() health.Check {
	return health.Check{Name: "config", Optional: true, Probe: func(context.Context) error {
		if d.mistake.Load() == nil {
			return nil
		}
		return errors.New("cannot load the configuration, run imagefit config check")
	}}
}

// breaker tells which registry hosts do not answer. A daemon without registries has none.
func (d *Daemon) breaker() registry.BreakerStats {
	if reg := d.registry.Load(); reg != nil {
		return reg.Breaker()
	}
	return registry.BreakerStats{Silent: []registry.SilentHost{}}
}

// factsCheck fails when the facts are no longer refreshed: decisions would rest
// on what the node was.
func (d *Daemon) factsCheck() health.Check {
	return health.Check{Name: "facts", Probe: func(context.Context) error {
		return staleness(time.Since(d.Facts.Refreshed()), time.Duration(d.Config().Facts.Refresh))
	}}
}

func staleness(age, interval time.Duration) error {
	if age < max(staleAge, staleMissed*interval) {
		return nil
	}
	return fmt.Errorf("last collected %s ago, want a refresh every %s", age.Round(time.Second), interval)
}

// stateCheck fails when nothing can be written. Pulls work without a cache, so
// this is a warning.
func (d *Daemon) stateCheck() health.Check {
	return health.Check{Name: "state", Optional: true, Probe: func(context.Context) error {
		dir := d.Config().StateDir
		err := unix.Access(dir, unix.W_OK)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // created with the first write
		case err != nil:
			return fmt.Errorf("write to state_dir %s: %w", dir, err)
		case d.logFailed.Load():
			return errors.New("cannot write the decision log, see the log of the daemon")
		}
		return nil
	}}
}

func (d *Daemon) status(sizes func() (map[string]cache.Size, error)) health.Status {
	s := health.Status{
		Program: d.Program, Version: d.Version, Started: d.started, Mode: d.Config().Policy.Mode,
		Config: health.ConfigStatus{Loaded: d.settings.Load().loaded, Failed: d.mistake.Load() != nil},
		Facts: health.FactsStatus{
			Refreshed: d.Facts.Refreshed().UTC(), Changes: d.Facts.Changes(), Fingerprint: d.Facts.Current().Fingerprint(),
		},
		Cache:       health.CacheStatus{Limit: d.Cache.Limit()},
		Decisions:   d.Metrics.Decisions(),
		SilentHosts: []health.SilentHost{},
	}
	for _, h := range d.breaker().Silent {
		s.SilentHosts = append(s.SilentHosts, health.SilentHost(h))
	}
	if d.Clients != nil {
		s.Clients = d.Clients()
	}
	if d.Names != nil {
		s.Names = d.Names()
	}
	if d.NRI != nil {
		s.NRI = d.NRI()
	}
	if d.Audit != nil {
		s.Audit = auditStatus(d.Audit)
	}
	found, err := sizes()
	if err != nil {
		d.Log.Warn("cannot measure the state directory", "error", err)
	}
	for _, size := range found {
		s.Cache.Files += size.Files
		s.Cache.Bytes += size.Bytes
	}
	return s
}
