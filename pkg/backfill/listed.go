package backfill

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/containerd/images"
)

const (
	// pollPause is the pause between lists of a runtime that sends no image events.
	pollPause = 10 * time.Second
	// listTimeout bounds how long such a list may take.
	listTimeout = 10 * time.Second
)

// listed is a Store on any runtime: where the runtime has no image records of
// containerd, as CRI-O has not, images are known by what the CRI lists.
type listed struct {
	Store
	cri runtimeapi.ImageServiceClient
	// ids are the image ids of the last list by the digests of the images, nil while
	// containerd's records apply. A digest that several images have has an empty id.
	ids map[digest.Digest]digest.Digest
}

// OnAnyRuntime returns a store of containerd's records that falls back to the CRI.
func OnAnyRuntime(records Store, conn grpc.ClientConnInterface) Store {
	return &listed{Store: records, cri: runtimeapi.NewImageServiceClient(conn)}
}

// Records lists image records, else one for each digest under which the CRI shows an
// image. The CRI does not tell which of them is an index and which a manifest, so that
// each may be the index that the other was chosen from.
func (l *listed) Records(ctx context.Context) ([]images.Record, error) {
	records, err := l.Store.Records(ctx)
	if status.Code(err) != codes.Unimplemented {
		l.ids = nil
		return records, err
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, err := l.cri.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images over CRI: %w", err)
	}
	l.ids = map[digest.Digest]digest.Digest{}
	for _, image := range list.GetImages() {
		id := digest.NewDigestFromEncoded(digest.SHA256, strings.TrimPrefix(image.GetId(), "sha256:"))
		if id.Validate() != nil {
			continue
		}
		for _, name := range image.GetRepoDigests() {
			named, err := reference.ParseDockerRef(name)
			digested, ok := named.(reference.Digested)
			if err != nil || !ok || len(records) == maxAttempts {
				continue
			}
			target := digested.Digest()
			records = append(records, images.Record{Name: name, Target: target, Index: target})
			if other, ok := l.ids[target]; ok && other != id {
				l.ids[target] = ""
			} else {
				l.ids[target] = id
			}
		}
	}
	return records, nil
}

// mayBeIndex reports whether the runtime does not tell if a record is on an index or on
// a manifest.
func mayBeIndex(r images.Record) bool { return r.Index == r.Target }

// ConfigOf returns the image id of a manifest on the node.
func (l *listed) ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error) {
	if l.ids == nil {
		return l.Store.ConfigOf(ctx, manifest)
	}
	id, ok := l.ids[manifest]
	if !ok {
		return "", status.Errorf(codes.NotFound, "manifest %s: not found", manifest)
	}
	return id, nil
}

// Follow follows image records, else calls changed at intervals.
func (l *listed) Follow(ctx context.Context, changed func()) error {
	err := l.Store.Follow(ctx, changed)
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	for ctx.Err() == nil {
		changed()
		sleep(ctx, pollPause)
	}
	return ctx.Err()
}
