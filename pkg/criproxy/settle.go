package criproxy

import (
	"context"
	"errors"
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
	n.moving.Lock() // for pulls that began with the other keeper
	records, err := n.Records.Records(ctx)
	n.moving.Unlock()
	if isUnimplemented(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var failed []error // one name does not keep the others where they are
	for _, r := range records {
		if r.Index != "" && isTag(r.Name) && ctx.Err() == nil {
			failed = append(failed, n.takeTag(ctx, r))
		}
	}
	return errors.Join(failed...)
}

// takeTag keeps a tag instead of the runtime, unless a pull moved it meanwhile.
func (n *Names) takeTag(ctx context.Context, r images.Record) error {
	n.moving.Lock()
	defer n.moving.Unlock()
	if target, err := n.Records.TargetOf(ctx, r.Name); err != nil || target != r.Target {
		return err
	}
	if _, kept := n.Keeper.Get(r.Name); kept { // by a pull, or before a crash
		return n.Records.Remove(ctx, r.Name, r.Target)
	}
	id, err := n.Records.ConfigOf(ctx, r.Target)
	if err != nil || id == "" {
		return nil // it is not there, so neither is the name
	}
	err = n.keep(ctx, names.Name{
		Reference: r.Name, ImageID: id.String(), Manifest: r.Target, Index: r.Index, Since: time.Now().UTC(),
	})
	if err == nil {
		err = n.Records.Remove(ctx, r.Name, r.Target)
	}
	if err == nil {
		n.Log.Info("the name of an image is kept by the proxy now", "reference", r.Name, "image", id)
	}
	return err
}

// returnTags makes records of the tags that the proxy has kept.
func (n *Names) returnTags(ctx context.Context) error {
	n.moving.Lock() // for pulls that began with the other keeper
	all := n.Keeper.All()
	n.moving.Unlock()
	var failed []error // one name does not keep the others where they are
	for _, name := range all {
		if name.Index == "" || !isTag(name.Reference) || ctx.Err() != nil {
			continue
		}
		err := n.returnTag(ctx, name)
		if isUnimplemented(err) {
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// returnTag makes a record of a tag, unless a pull moved it meanwhile. An image that the
// runtime does not show whole could not be shown under a record: its name stays until a
// list or a look-up finds the image gone.
func (n *Names) returnTag(ctx context.Context, name names.Name) error {
	n.moving.Lock()
	defer n.moving.Unlock()
	if now, kept := n.Keeper.Get(name.Reference); !kept || now != name {
		return nil
	}
	manifest, err := n.Records.DescriptorOf(ctx, name.Manifest)
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if image, err := n.Records.Image(ctx, name.ImageID); err != nil || image.GetId() == "" {
		return err
	}
	err = n.Records.Point(ctx, images.Choice{
		Reference: name.Reference, Index: name.Index, Manifest: manifest, ImageID: name.ImageID,
	})
	if err == nil {
		err = n.Keeper.Forget(ctx, name.Reference)
	}
	if err == nil {
		n.Log.Info("the name of an image is a record of the runtime now", "reference", name.Reference, "image", name.ImageID)
	}
	return err
}

// isUnimplemented reports whether the runtime does not have what was called.
func isUnimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }
