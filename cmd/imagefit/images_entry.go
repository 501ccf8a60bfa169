package main

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/names"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// imageOf puts together what is known of a name.
func (s *imageSources) imageOf(ctx context.Context, name, id string) nodeImage {
	image := nodeImage{Name: name, ImageID: id}
	record, recorded := s.records[name]
	target, since := record.Target, record.Updated
	if n, kept := s.kept[name]; kept && n.ImageID == id {
		image.KeptBy, image.Namespace, image.Pod = keptByProxy, n.Namespace, n.Pod
		image.Manifest, image.Index = n.Manifest, n.Index
		target, since = n.Manifest, n.Since
	} else {
		image.Index = record.Index
		if recorded || s.keepers && s.socket != "" {
			image.KeptBy = keptByRuntime
		}
	}
	if s.store != nil && target != "" {
		s.readVariant(ctx, &image, target)
	}
	if pull, logged := s.pullOf(name, id); logged {
		image.complete(pull, &since)
	}
	if image.Pod == "" {
		image.Namespace, image.Pod = s.podOf(image)
	}
	if !since.IsZero() {
		since = since.UTC()
		image.Since = &since
	}
	return image
}

// readVariant reads what the runtime's content store has of an image.
func (s *imageSources) readVariant(ctx context.Context, image *nodeImage, target digest.Digest) {
	config, _ := digest.Parse(image.ImageID)
	v, err := s.store.VariantOf(ctx, target, image.Index, config)
	switch code := status.Code(err); {
	case err == nil:
		image.Manifest, image.Index = v.Manifest, v.Index
		if v.Platform != nil {
			image.Variant = index.PlatformName(v.Platform)
		}
	case code == codes.DeadlineExceeded || code == codes.Unavailable: // and will be for the others
		s.problem("containerd's content store cannot be read: %v; variants may be missing", err)
		s.store = nil
	}
}

// pullOf returns the newest pull of an image by a name, else by another name of its
// repository.
func (s *imageSources) pullOf(name, id string) (loggedPull, bool) {
	same := func(p loggedPull) bool { return p.Image == id && p.name == name }
	of := slices.IndexFunc(s.pulls, same)
	if of < 0 {
		of = slices.IndexFunc(s.pulls, func(p loggedPull) bool {
			return p.Image == id && decision.RepositoryOf(p.name) == decision.RepositoryOf(name)
		})
	}
	if of < 0 {
		return loggedPull{}, false
	}
	return s.pulls[of], true
}

// podOf returns the pod of a name that cri-proxy keeps of the same image: a pull gives it
// several.
func (s *imageSources) podOf(image nodeImage) (namespace, pod string) {
	var newest names.Name
	for _, n := range s.kept {
		if n.ImageID == image.ImageID && decision.RepositoryOf(n.Reference) == decision.RepositoryOf(image.Name) && newest.Since.Before(n.Since) {
			newest = n
		}
	}
	return newest.Namespace, newest.Pod
}

// complete adds what only the decision log tells. It names a variant as decisions do.
func (i *nodeImage) complete(pull loggedPull, since *time.Time) {
	if i.Manifest == "" {
		i.Manifest = digest.Digest(pull.Manifest)
	}
	if pull.Choice != "" && i.Manifest.String() == pull.Manifest {
		i.Variant = pull.Choice
	}
	if since.IsZero() {
		*since = pull.Time
	}
	if i.Namespace == "" && i.Pod == "" {
		i.Namespace, i.Pod = pull.Namespace, pull.Pod
	}
}
