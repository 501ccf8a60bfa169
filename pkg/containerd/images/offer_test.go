package images

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func contentOf(text string) Content {
	return Content{ocispec.Descriptor{Digest: digest.FromString(text), Size: int64(len(text))}, []byte(text)}
}

func TestOfferWritesWhatIsMissingUnderALease(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	there, missing := contentOf("there"), contentOf("missing")
	f.Put(there.Descriptor.Digest, there.Body)
	release, err := s.Offer(t.Context(), repository, []Content{there, missing})
	if err != nil || !f.Holds(missing.Descriptor.Digest) {
		t.Fatalf("held: %t, %v", f.Holds(missing.Descriptor.Digest), err)
	}
	if labels := f.Labels(missing.Descriptor.Digest); labels["containerd.io/distribution.source.registry.example"] != "app" {
		t.Errorf("labels %v", labels)
	}
	leases := f.Leases()
	if len(leases) != 1 {
		t.Fatalf("leases %v", leases)
	}
	if at, err := time.Parse(time.RFC3339, leases[0]["containerd.io/gc.expire"]); err != nil || time.Until(at) < time.Minute || time.Until(at) > time.Hour {
		t.Errorf("the lease expires at %s, %v", at, err)
	}
	release()
	if leases := f.Leases(); len(leases) > 0 {
		t.Errorf("the lease is left: %v", leases)
	}
}

func TestOfferOfWhatIsThereWritesNothing(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	there := contentOf("there")
	f.Put(there.Descriptor.Digest, there.Body)
	f.Before = failing("lease", errors.New("a lease was created"))
	release, err := s.Offer(t.Context(), repository, []Content{there})
	if err != nil {
		t.Error(err)
	}
	release()
}

// Whatever fails, the lease goes and the caller can go on.
func TestOfferThatFailsLeavesNoLease(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"info", "lease", "write"} {
		f, s := newFake()
		cause := status.Error(codes.Unavailable, "no")
		f.Before = failing(method, cause)
		release, err := s.Offer(t.Context(), repository, []Content{contentOf("a")})
		if err == nil {
			t.Errorf("%s: no error", method)
		}
		release()
		if len(f.Leases()) > 0 {
			t.Errorf("%s: a lease is left", method)
		}
	}
}

func TestOfferNeverStoresContentUnderAnotherDigest(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	wrong := contentOf("a")
	wrong.Body = slices.Concat(wrong.Body, []byte("b"))
	release, err := s.Offer(t.Context(), repository, []Content{wrong})
	defer release()
	if err == nil || f.Holds(wrong.Descriptor.Digest) {
		t.Errorf("held: %t, %v", f.Holds(wrong.Descriptor.Digest), err)
	}
}

func TestKeepIndexHoldsItByAReference(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	manifest, index := f.Image("v3").Digest, digest.FromString("index")
	for range 2 {
		if err := s.KeepIndex(t.Context(), manifest, index); err != nil {
			t.Fatal(err)
		}
	}
	if labels := f.Labels(manifest); labels["containerd.io/gc.ref.content.imagefit-index"] != index.String() {
		t.Errorf("labels %v", labels)
	}
	if err := s.KeepIndex(t.Context(), digest.FromString("none"), index); status.Code(err) != codes.NotFound {
		t.Errorf("a manifest that is not there: %v", err)
	}
}
