package daemon

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/config"
)

// OnReload calls apply with every configuration that is loaded from now on.
func (d *Daemon) OnReload(apply func(config.Config)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.subscribers = append(d.subscribers, apply)
}

// KeepFresh refreshes the facts at every interval, and facts and configuration
// on SIGHUP, in the group, until ctx ends.
func (d *Daemon) KeepFresh(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error {
		return d.Facts.Run(ctx, time.Duration(d.Config().Facts.Refresh))
	})
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-d.reloads:
				d.Systemd.Reload(func() {
					d.reload()
					d.Facts.Refresh(ctx)
				})
			}
		}
	})
}

// reload loads the configuration again. An invalid one changes nothing.
func (d *Daemon) reload() {
	err := d.load()
	d.Metrics.Reloaded(err)
	d.reloadFailed.Store(err != nil)
	if err != nil {
		d.Log.Error("configuration reload failed, keeping the previous configuration", "error", oneLine(err))
	}
}

// load validates the whole configuration before it changes anything.
func (d *Daemon) load() error {
	loaded, err := d.sources.Load()
	if err != nil {
		return err
	}
	cfg, restart := config.TakeUp(d.Config(), loaded.Config)
	rules, err := wiring.Rules(cfg, d.Log)
	if err != nil {
		return err
	}
	if len(restart) > 0 {
		d.Log.Warn("changed keys need a restart to take effect", "keys", strings.Join(restart, " "))
	}
	d.settings.Store(&settings{config: cfg, rules: rules, loaded: time.Now()})
	d.level.Set(logLevel(cfg))
	d.mu.Lock()
	subscribers := slices.Clone(d.subscribers)
	d.mu.Unlock()
	for _, apply := range subscribers {
		apply(cfg)
	}
	d.Log.Info("configuration reloaded", "mode", cfg.Policy.Mode)
	return nil
}
