package criproxy

import (
	"context"
	"testing"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// TestForwardedPullIsIdentifiedWithoutContainerdsServices: by what the CRI shows, without a warning, so that
// admission knows the image on CRI-O too.
func TestForwardedPullIsIdentifiedWithoutContainerdsServices(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, func(r *decision.Rules) { r.Policy.Mode = policy.Audit })
	log := new(testkit.Log)
	b.puller.Log = log.Logger()
	b.runtime.Delay = 0
	b.runtime.Before = func(_ context.Context, method, _ string) error {
		return status.Error(codes.Unimplemented, "unknown service, for "+method)
	}
	taken := b.registry.image("1")
	for range 2 {
		// CRI-O shows an image under the digests of the index and of the manifest.
		b.runtime.Write(&imagesapi.Image{
			Name: appRepo + "@" + taken.Digest.String(), Target: &types.Descriptor{Digest: taken.Digest.String()},
		})
		id, err := b.pull(t.Context())
		if err != nil || id != imageID("1") {
			t.Fatalf("pulled %s, %v", id, err)
		}
		if got := b.decider.recalled(id); got != "linux/amd64" {
			t.Errorf("remembered as %q", got)
		}
		if last := b.last(); last.Choice != "linux/amd64" || last.Image != imageID("1") || last.Would != policy.Pulled {
			t.Errorf("record %+v", last)
		}
	}
	if n := log.Count("level=WARN"); n != 0 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
}

// TestForwardedPullIsNotAnsweredWithTheVariantOfAnother: another pull may name its variant while the
// runtime pulls, which looks the reference up once more. A runtime that always takes something else
// than expected is believed after a few times.
func TestForwardedPullIsNotAnsweredWithTheVariantOfAnother(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		others int // answers with the other's variant
		pulls  int
		want   string
	}{
		"not at all": {0, 1, "1"},
		"once":       {1, 2, "1"},
		"every time": {99, maxForwards, "1v3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 3, func(r *decision.Rules) { r.Policy.Mode = policy.Audit })
			pulls := 0
			b.runtime.Takes = func(string) digest.Digest {
				if pulls++; pulls <= tt.others {
					return b.registry.image("1v3").Digest
				}
				return b.registry.image("1").Digest
			}
			id, err := b.pull(t.Context())
			if err != nil || id != imageID(tt.want) || pulls != tt.pulls {
				t.Errorf("%d pulls, %s, %v; want %d and %s", pulls, id, err, tt.pulls, imageID(tt.want))
			}
			if last := b.last(); last.Image != imageID(tt.want) || last.Action != policy.Forwarded {
				t.Errorf("record %+v", last)
			}
		})
	}
}
