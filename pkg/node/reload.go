package node

import (
	"context"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/config"
)

// OnReload calls apply with every configuration that is taken up from now on.
// It panics after KeepFresh, which may be reading the list.
func (n *Node) OnReload(apply func(config.Config)) {
	if n.keptFresh {
		panic("node: OnReload after KeepFresh")
	}
	n.applied = append(n.applied, apply)
}

// KeepFresh looks at the facts again at every interval, and at the facts and the
// configuration on SIGHUP, in the group, until ctx ends.
func (n *Node) KeepFresh(ctx context.Context, group *errgroup.Group) {
	n.keptFresh = true
	group.Go(func() error {
		return n.Facts.Run(ctx, time.Duration(n.Config().Facts.Refresh))
	})
	group.Go(func() error {
		defer signal.Stop(n.hangup)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-n.hangup:
				n.Manager.Reload(func() {
					n.reload()
					n.Facts.Refresh(ctx)
				})
			}
		}
	})
}

// reload takes up the configuration anew. A bad one changes nothing.
func (n *Node) reload() {
	err := n.takeUp()
	n.Metrics.Reloaded(err)
	n.rejected.Store(err != nil)
	if err != nil {
		n.Log.Error("the configuration is not taken up, the old one holds", "error", textutil.Line(err.Error(), 4<<10))
	}
}

// takeUp reads and validates the whole configuration first.
func (n *Node) takeUp() error {
	loaded, err := n.sources.Load()
	if err != nil {
		return err
	}
	fresh, waiting := config.TakeUp(n.Config(), loaded.Config)
	rules, err := Rules(fresh, n.Log)
	if err != nil {
		return err
	}
	if len(waiting) > 0 {
		n.Log.Warn("a restart is needed before these keys count", "keys", strings.Join(waiting, " "))
	}
	n.settings.Store(&settings{config: fresh, rules: rules, at: time.Now()})
	n.level.Set(logLevel(fresh))
	for _, apply := range n.applied {
		apply(fresh)
	}
	n.Log.Info("the configuration is taken up", "mode", fresh.Policy.Mode)
	return nil
}
