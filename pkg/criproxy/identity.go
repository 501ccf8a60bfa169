package criproxy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/pkg/decision"
)

// candidateOf returns the id of the image that the runtime answered a pull with, and the
// candidate that it is, None where it is not one of them.
func (p *pull) candidateOf(ctx context.Context, d *decision.Decision, pulled string) (id string, candidate int, err error) {
	for _, i := range d.ByPreference() {
		config, err := p.Images.ConfigOf(ctx, d.Candidates[i].Digest)
		switch {
		case status.Code(err) == codes.Unimplemented:
			return p.candidateByCRI(ctx, d, pulled)
		case status.Code(err) == codes.NotFound: // not on the node, so not what was pulled
		case err != nil:
			return pulled, decision.None, err
		case config.String() == pulled:
			return pulled, i, nil
		}
	}
	return pulled, decision.None, nil
}

// candidateByCRI is candidateOf on a runtime without containerd's content store. CRI-O
// shows an image under the digest of its manifest, and up to 1.35 answers pulls with
// that instead of the image id.
func (p *pull) candidateByCRI(ctx context.Context, d *decision.Decision, pulled string) (id string, candidate int, err error) {
	image, err := p.Images.Image(ctx, pulled)
	if err != nil {
		return pulled, decision.None, err
	}
	for _, i := range d.ByPreference() {
		shown := func(name string) bool { return strings.HasSuffix(name, "@"+d.Candidates[i].Digest.String()) }
		if slices.ContainsFunc(image.GetRepoDigests(), shown) {
			return image.GetId(), i, nil
		}
	}
	// Not every runtime shows the digest of the manifest beside that of the index.
	return pulled, decision.None, fmt.Errorf("look up image %s in the runtime: it shows no digest of a candidate", pulled)
}
