package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/pkg/names"
)

// HandBack makes records of the tags that cri-proxy keeps, so that the runtime resolves
// them without it, and returns the names that it cannot be given: those by the digest of an
// index, whose record would not be true, and all tags where the records are shared with
// other nodes. A tag that the runtime has a record of stays as it is. A dry run changes
// nothing.
func (s Names) HandBack(ctx context.Context, shared, dryRun bool) (given, left []string, err error) {
	all, err := s.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	var failed []error // one name does not keep the others from it
	for _, n := range all {
		if n.Index == "" || n.Implied {
			continue // nothing was pulled by it
		}
		image, err := s.Image(ctx, n.ImageID)
		if err != nil || image.GetId() == "" {
			failed = append(failed, err)
			continue // gone
		}
		if strings.Contains(n.Reference, "@") || shared {
			left = append(left, n.Reference)
			continue
		}
		made, err := s.handBack(ctx, n, dryRun)
		if failed = append(failed, err); made {
			given = append(given, n.Reference)
		}
	}
	slices.Sort(given)
	slices.Sort(left)
	return given, left, errors.Join(failed...)
}

// handBack makes a record of a tag, if there is none and the image is still there.
func (s Names) handBack(ctx context.Context, n names.Name, dryRun bool) (bool, error) {
	if target, err := s.TargetOf(ctx, n.Reference); err != nil || target != "" {
		return false, err
	}
	manifest, err := s.DescriptorOf(ctx, n.Manifest)
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	if err != nil || dryRun {
		return err == nil, err
	}
	return true, s.Point(ctx, Choice{Reference: n.Reference, Index: n.Index, Manifest: manifest, ImageID: n.ImageID})
}

// Forget removes all names from the records.
func (s Names) Forget(ctx context.Context) error {
	all, err := s.Read(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, n := range all {
		if err := s.Delete(ctx, n); err != nil {
			failed = append(failed, fmt.Errorf("forget the name %s of image %s: %w", n.Reference, n.ImageID, err))
		}
	}
	return errors.Join(failed...)
}
