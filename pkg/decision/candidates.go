package decision

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/containerd/platforms"
)

// isImageFunc reads the manifest of a candidate to see whether it is that of an image. It
// returns what it is else, as a notImageError.
type isImageFunc func(ctx context.Context, c *Candidate) error

// unread leaves the manifests of candidates unread.
func unread(context.Context, *Candidate) error { return nil }

// choose chooses among the candidates. The manifest of a choice that states the same
// platform as another candidate is read first, and the choice made again where it is
// not that of an image: build tools list artifacts under the platform of the image
// that they belong to.
func (d *Decision) choose(ctx context.Context, isImage isImageFunc) error {
	for range maxInspected {
		d.order()
		if d.Index == "" || d.Choice == None || d.Candidates[d.Choice].described || !d.hasTwin(d.Choice) {
			return nil
		}
		c := &d.Candidates[d.Choice]
		if c.notImage != "" {
			d.setAside(d.Choice, c.notImage)
			continue
		}
		err := isImage(ctx, c)
		what, notImage := errors.AsType[notImageError](err)
		switch {
		case notImage:
			d.setAside(d.Choice, what.Error())
		case err != nil && ctx.Err() != nil:
			return err
		default: // what is wrong with it, the runtime's pull will tell
			return nil
		}
	}
	d.order()
	return nil
}

// hasTwin reports whether another candidate states the same platform.
func (d *Decision) hasTwin(i int) bool {
	stated := func(c Candidate) string { return platforms.FormatAll(platforms.Normalize(*c.platform)) }
	return slices.ContainsFunc(d.Candidates, func(c Candidate) bool {
		return c.Digest != d.Candidates[i].Digest && stated(c) == stated(d.Candidates[i])
	})
}

// setAside makes a candidate one of the other entries.
func (d *Decision) setAside(i int, reason string) {
	c := d.Candidates[i]
	d.Others = append(d.Others, Other{Entry: c.Entry, Within: c.Within, Digest: c.Digest, Platform: c.Platform, Reason: reason})
	slices.SortStableFunc(d.Others, func(a, b Other) int { return cmp.Compare(a.Entry, b.Entry) })
	d.Candidates = slices.Delete(d.Candidates, i, i+1)
	switch {
	case d.Default == i:
		d.Default = None
	case d.Default > i:
		d.Default--
	}
}
