package install

import "context"

// Images are the names of the images on the node, of which cri-proxy keeps some.
type Images interface {
	// HandBack gives the runtime the names that cri-proxy keeps; a dry run changes nothing.
	// The note says which names are left without a keeper.
	HandBack(ctx context.Context, dryRun bool) (note string, err error)
	// Forget removes what cri-proxy wrote into the runtime's own records.
	Forget(ctx context.Context) error
}

// handBack gives the runtime the names of images, first while cri-proxy still answers for
// them, and at last those that were pulled meanwhile. That it cannot be done, as without a
// runtime, does not keep imagefit on the node.
func (r *run) handBack(last bool) error {
	if r.Images == nil || r.DryRun && last {
		return nil
	}
	do := func() error {
		note, err := r.Images.HandBack(r.ctx, r.DryRun)
		switch {
		case last:
			note = "" // the same
		case err != nil:
			note = "names of images that cri-proxy keeps were not handed back to the runtime, the kubelet pulls such images again: " + err.Error()
		}
		return r.noted(note, nil)
	}
	if r.DryRun {
		return do()
	}
	return r.perform("hand the names of images back to the runtime", do)
}

// forgetNames removes what is left of the names, once no cri-proxy uses them.
func (r *run) forgetNames() error {
	if r.Images == nil || r.KeepState {
		return nil
	}
	return r.perform("remove the names of cri-proxy from the runtime's records", func() error {
		if err := r.Images.Forget(r.ctx); err != nil {
			return r.noted("names of cri-proxy are left in the runtime's records, which does no harm: "+err.Error(), nil)
		}
		return nil
	})
}
