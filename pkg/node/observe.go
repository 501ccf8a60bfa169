package node

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
)

// The least age at which facts are too old, and how many refreshes must have
// been missed besides.
const (
	staleAge     = 5 * time.Minute
	staleMissing = 5
)

// Observe serves metrics, health and status at an address until stop is called.
// ready are the program's own checks. It is called once.
func (n *Node) Observe(address string, ready ...health.Check) (stop func()) {
	sizes := metrics.Sizes(n.Cache)
	server := health.New(health.Options{
		Checks:  append(ready, n.factsCheck(), n.stateCheck()),
		Metrics: n.Metrics.Handler(n.Log),
		Status:  func() health.Status { return n.status(sizes) },
		Log:     n.Log,
	})
	n.Metrics.WatchFacts(n.Facts)
	n.Metrics.WatchCache(n.Cache, sizes)
	n.Metrics.WatchChecks(func() (bool, map[string]bool) {
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

// factsCheck fails while the facts are not looked at any more: decisions then
// rest on what the node was.
func (n *Node) factsCheck() health.Check {
	return health.Check{Name: "facts", Probe: func(context.Context) error {
		return staleness(time.Since(n.Facts.Refreshed()), time.Duration(n.Config().Facts.Refresh))
	}}
}

func staleness(age, interval time.Duration) error {
	if age < max(staleAge, staleMissing*interval) {
		return nil
	}
	return fmt.Errorf("collected %s ago, they should be every %s", age.Round(time.Second), interval)
}

// stateCheck fails while nothing can be kept. Pulls go on without, so this is a
// warning.
func (n *Node) stateCheck() health.Check {
	return health.Check{Name: "state", Optional: true, Probe: func(context.Context) error {
		dir := n.Config().StateDir
		err := unix.Access(dir, unix.W_OK)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it is made when there is something to keep
		case err != nil:
			return fmt.Errorf("write to state_dir %s: %w", dir, err)
		case n.unkept.Load():
			return errors.New("decisions are not kept, see the log")
		}
		return nil
	}}
}

func (n *Node) status(sizes func() (map[string]cache.Size, error)) health.Status {
	s := health.Status{
		Program: n.Program, Version: n.Version, Started: n.started, Mode: n.Config().Policy.Mode,
		Config: health.ConfigStatus{Loaded: n.settings.Load().at, Failed: n.rejected.Load()},
		Facts: health.FactsStatus{
			Refreshed: n.Facts.Refreshed().UTC(), Changes: n.Facts.Changes(), Fingerprint: n.Facts.Current().Fingerprint(),
		},
		Cache:     health.CacheStatus{Limit: n.Cache.Limit()},
		Decisions: n.Metrics.Decisions(),
	}
	found, err := sizes()
	if err != nil {
		n.Log.Warn("the state folder cannot be measured", "error", err)
	}
	for _, size := range found {
		s.Cache.Files += size.Files
		s.Cache.Bytes += size.Bytes
	}
	return s
}
