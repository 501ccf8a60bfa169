package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/imagefit/imagefit/pkg/names"
)

// labelName begins the labels of names that cri-proxy keeps. They are on the record
// that containerd's CRI plugin makes for each image under its id, so that a name is gone
// when the image is.
const labelName = "imagefit.io/name."

// Names is a [names.Store] in the labels of image records.
type Names struct{ *Store }

// Load returns the names that the records have. A record of an earlier version, whose
// name has the digest of an index and whose target is a manifest, becomes a name.
func (s Names) Load(ctx context.Context) ([]names.Name, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	records, all, err := s.list(ctx)
	for _, image := range records {
		if n, ok := s.untrue(ctx, image); ok && s.convert(ctx, n) == nil {
			all = append(all, n)
		}
	}
	return all, err
}

// Read returns the names that the records have, and changes none of them.
func (s Names) Read(ctx context.Context) ([]names.Name, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, all, err := s.list(ctx)
	return all, err
}

// list returns the records and the names in them.
func (s Names) list(ctx context.Context) (records []*imagesapi.Image, all []names.Name, err error) {
	list, err := s.images.List(s.scoped(ctx), &imagesapi.ListImagesRequest{})
	if status.Code(err) == codes.Unimplemented {
		return nil, nil, fmt.Errorf("list image records: %w", names.ErrUnsupported)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list image records: %w", err)
	}
	for _, image := range list.GetImages() {
		all = append(all, namesIn(image)...)
	}
	return list.GetImages(), all, nil
}

// namesIn are the names in the labels of a record.
func namesIn(image *imagesapi.Image) []names.Name {
	var all []names.Name
	for label, value := range image.GetLabels() {
		if !strings.HasPrefix(label, labelName) {
			continue
		}
		var n names.Name
		if json.Unmarshal([]byte(value), &n) == nil && n.ImageID == image.GetName() && labelOf(n) == label {
			all = append(all, n)
		}
	}
	return all
}

// labelOf is the label of a name. References are longer than labels' keys may be.
func labelOf(n names.Name) string {
	sum := sha256.Sum256([]byte(n.Reference))
	return labelName + hex.EncodeToString(sum[:8])
}

// untrue returns the name that a record stands for whose digest is not its target's.
func (s Names) untrue(ctx context.Context, image *imagesapi.Image) (names.Name, bool) {
	r := recordOf(image)
	_, name, byDigest := strings.Cut(r.Name, "@")
	if r.Index == "" || !byDigest || name == r.Target.String() {
		return names.Name{}, false
	}
	id, err := s.ConfigOf(ctx, r.Target)
	return names.Name{
		Reference: r.Name, ImageID: id.String(), Manifest: r.Target, Index: r.Index, Since: image.GetUpdatedAt().AsTime(),
	}, err == nil && id != ""
}

// convert saves the name of an untrue record and removes the record.
func (s Names) convert(ctx context.Context, n names.Name) error {
	if err := s.Save(ctx, n); err != nil {
		return err
	}
	return s.Remove(ctx, n.Reference, n.Manifest)
}

// Has implements [names.Store].
func (s Names) Has(ctx context.Context, n names.Name) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	record, err := s.images.Get(s.scoped(ctx), &imagesapi.GetImageRequest{Name: n.ImageID})
	body, notJSON := json.Marshal(n)
	return err == nil && notJSON == nil && record.GetImage().GetLabels()[labelOf(n)] == string(body)
}

// Save implements [names.Store].
func (s Names) Save(ctx context.Context, n names.Name) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := s.label(ctx, n, string(body)); status.Code(err) == codes.NotFound {
		return ErrRemoved
	} else if err != nil {
		return err
	}
	return nil
}

// Delete implements [names.Store].
func (s Names) Delete(ctx context.Context, n names.Name) error {
	err := s.label(ctx, n, "") // which removes it
	if status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}

func (s Names) label(ctx context.Context, n names.Name, value string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := s.images.Update(s.scoped(ctx), &imagesapi.UpdateImageRequest{
		Image: &imagesapi.Image{
			Name: n.ImageID, Labels: map[string]string{labelOf(n): value},
			Target: &types.Descriptor{Digest: n.Manifest.String()}, // not applied, but containerd 2.4 panics without
		},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels." + labelOf(n)}},
	})
	return err
}

// Remove removes the record of a name that points at the target; that there is none is no
// error. containerd 1.7 removes it whatever it points at.
func (s *Store) Remove(ctx context.Context, name string, target digest.Digest) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := s.images.Delete(s.scoped(ctx), &imagesapi.DeleteImageRequest{Name: name, Target: &types.Descriptor{Digest: target.String()}})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("remove the image record %s: %w", name, err)
	}
	return nil
}

// TargetOf returns what the record of a name points at, "" where there is none.
func (s *Store) TargetOf(ctx context.Context, name string) (digest.Digest, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	record, err := s.images.Get(s.scoped(ctx), &imagesapi.GetImageRequest{Name: name})
	switch status.Code(err) {
	case codes.OK:
		return digest.Digest(record.GetImage().GetTarget().GetDigest()), nil
	case codes.NotFound:
		return "", nil
	}
	return "", fmt.Errorf("read the image record %s: %w", name, err)
}
