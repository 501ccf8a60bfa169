package criproxy

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/names"
)

const (
	// settlePause is the first pause before names are moved again to who is to keep
	// them, where that failed; it doubles up to considerPause.
	settlePause = time.Second
	// considerPause is the pause after which it is found out anew who keeps names:
	// mirrors come and go.
	considerPause = time.Minute
)

// Reconsider makes Run find out at once who keeps tags.
func (n *Names) Reconsider() {
	select {
	case n.consider <- struct{}{}:
	default:
	}
}

// Run moves the names that there are to who is to keep them, now and whenever that
// changes, until ctx ends.
func (n *Names) Run(ctx context.Context) error {
	keeper, why := n.KeptBy()
	n.Log.Info("names of images", "keeper", keeper, "reason", why)
	settled, pause := false, settlePause
	for {
		if !settled {
			err := n.settle(ctx)
			if settled = err == nil; !settled && ctx.Err() == nil {
				n.Log.Debug("cannot move the names of images to their keeper, retrying", "error", err)
			}
		}
		if pause = min(2*pause, considerPause); settled {
			pause = considerPause
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.consider:
		case <-time.After(pause):
		}
		if n.decide() {
			settled, pause = false, settlePause
			keeper, why := n.KeptBy()
			n.Log.Info("names of images have another keeper now", "keeper", keeper, "reason", why)
		}
	}
}

// settle moves all names of chosen images to their keeper. Each is kept by the new one
// before the old one gives it up.
func (n *Names) settle(ctx context.Context) error {
	if err := n.Keeper.Load(ctx); err != nil {
		return err
	}
	if n.Shared() {
		return n.takeTags(ctx)
	}
	return n.returnTags(ctx)
}

// takeTags keeps the tags that the runtime has as records.
func (n *Names) takeTags(ctx context.Context) error {
	records, err := n.Records.Records(ctx)
	if isUnimplemented(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Index == "" || !isTag(r.Name) {
			continue
		}
		id, err := n.Records.ConfigOf(ctx, r.Target)
		if err != nil || id == "" {
			continue // it is not there, so neither is the name
		}
		err = n.Keeper.Keep(ctx, names.Name{
			Reference: r.Name, ImageID: id.String(), Manifest: r.Target, Index: r.Index, Since: time.Now().UTC(),
		})
		if err == nil {
			err = n.Records.Remove(ctx, r.Name)
		}
		if err != nil {
			return err
		}
		n.Log.Info("the name of an image is kept by the proxy now", "reference", r.Name, "image", id)
	}
	return nil
}

// returnTags makes records of the tags that the proxy has kept.
func (n *Names) returnTags(ctx context.Context) error {
	for _, name := range n.Keeper.All() {
		if name.Index == "" || !isTag(name.Reference) {
			continue
		}
		manifest, err := n.Records.DescriptorOf(ctx, name.Manifest)
		if isUnimplemented(err) {
			return nil
		}
		if err == nil {
			err = n.Records.Point(ctx, images.Choice{
				Reference: name.Reference, Index: name.Index, Manifest: manifest, ImageID: name.ImageID,
			})
		}
		if err == nil {
			err = n.Keeper.Forget(ctx, name.Reference)
		}
		if err != nil {
			if gone, _ := n.gone(ctx, name.ImageID); gone {
				continue
			}
			return err
		}
		n.Log.Info("the name of an image is a record of the runtime now", "reference", name.Reference, "image", name.ImageID)
	}
	return nil
}

// isUnimplemented reports whether the runtime does not have what was called.
func isUnimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }
