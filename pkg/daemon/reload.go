package daemon

import (
	"context"
	"runtime/debug"
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

// retryInterval is how often a configuration that could not be loaded is tried again, and
// the operator's rule files are looked at, so that a mended or new file needs no signal.
const retryInterval = 2 * time.Second

// KeepFresh refreshes the facts at every interval, facts and configuration on SIGHUP,
// and the audit with each change, in the group, until ctx ends.
func (d *Daemon) KeepFresh(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error {
		return d.Facts.Run(ctx, time.Duration(d.Config().Facts.Refresh))
	})
	group.Go(func() error {
		debug.FreeOSMemory() // what only the start needed
		return nil
	})
	if d.Audit != nil {
		group.Go(func() error {
			d.Audit.Run(ctx)
			return nil
		})
	}
	group.Go(func() error {
		retry := time.NewTicker(retryInterval)
		defer retry.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-retry.C:
				if d.mistake.Load() != nil {
					d.reload()
				}
				d.reloadRules()
			case <-d.reloads:
				d.mistake.Store(nil) // which is logged again
				d.Systemd.Reload(func() {
					d.reload()
					d.Facts.Refresh(ctx)
				})
			}
		}
	})
}

// startedWith says what the daemon has started with where its configuration cannot be
// loaded, and else keeps it for such a start.
func (d *Daemon) startedWith(usable config.Usable) {
	if usable.Err == nil {
		d.keep(usable.Loaded)
		return
	}
	d.mistake.Store(&usable.Err)
	d.Metrics.Reloaded(usable.Err)
	if usable.Since.IsZero() {
		d.Log.Error("cannot load the configuration, forwarding pulls and admitting containers unchanged until it is valid",
			"error", oneLine(usable.Err))
		return
	}
	d.Log.Error("cannot load the configuration, using the last valid one",
		"error", oneLine(usable.Err), "valid_since", usable.Since.UTC().Format(time.RFC3339))
}

// keep writes a valid configuration down for a start at which there is none.
func (d *Daemon) keep(loaded *config.Loaded) {
	if err := loaded.Keep(d.Program); err != nil {
		d.Log.Warn("cannot keep the configuration for a start without a valid one", "error", err)
	}
}

// Given lays a drop-in over the configuration, which the runtime hands to a plugin that it
// launches.
func (d *Daemon) Given(text string) {
	d.loading.Lock()
	d.sources.Given = text
	d.loading.Unlock()
	d.reload()
}

// reload loads the configuration again. An invalid one changes nothing, and is logged
// once.
func (d *Daemon) reload() {
	d.loading.Lock()
	defer d.loading.Unlock()
	err := d.load()
	before := d.mistake.Load()
	if err == nil {
		d.mistake.Store(nil)
		d.Metrics.Reloaded(nil)
		return
	}
	if before != nil && (*before).Error() == err.Error() {
		return
	}
	d.mistake.Store(&err)
	d.Metrics.Reloaded(err)
	d.Log.Error("configuration reload failed, keeping the previous configuration", "error", oneLine(err))
}

// reloadRules reads the operator's compatibility specs and descriptions of images again
// where their files have changed.
func (d *Daemon) reloadRules() {
	old := d.settings.Load()
	files := wiring.RuleFiles(old.config)
	if files == old.files {
		return
	}
	rules, err := wiring.Rules(old.config, d.Log)
	if err != nil {
		d.Log.Error("cannot read the rule files, keeping the previous rules", "error", err)
		rules = old.rules
	}
	fresh := *old
	fresh.rules, fresh.files = rules, files
	if d.settings.CompareAndSwap(old, &fresh) && err == nil {
		d.Log.Info("rule files reloaded", "specs_dir", old.config.Select.SpecsDir, "images_dir", old.config.Select.ImagesDir,
			"descriptions", rules.Descriptions.Len())
	}
}

// load validates the whole configuration before it changes anything.
func (d *Daemon) load() error {
	loaded, err := d.sources.Load()
	if err != nil {
		return err
	}
	cfg, restart := config.TakeUp(d.Config(), loaded.Config)
	files := wiring.RuleFiles(cfg)
	rules, err := wiring.Rules(cfg, d.Log)
	if err != nil {
		return err
	}
	if len(restart) > 0 {
		d.Log.Warn("changed keys need a restart to take effect", "keys", strings.Join(restart, " "))
	}
	d.keep(loaded)
	d.settings.Store(&settings{config: cfg, rules: rules, loaded: time.Now(), files: files})
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
