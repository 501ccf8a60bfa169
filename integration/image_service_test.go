package integration

import (
	"errors"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// startBehindImageService starts another image service before containerd, as SOCI and stargz have, and imagefit
// before that.
func startBehindImageService(t testing.TB, settings stack.Settings) (*fit, *recorder) {
	t.Helper()
	containerd := startContainerd(t, stack.Options{})
	service := startRecorder(t, containerd, "images", containerd.Socket)
	settings.Images = service.socket
	return startFitWith(t, containerd, startRegistry(t), flagsV3, settings), service
}

// TestVariantIsPulledByAnotherImageService: with runtime.image_endpoint, that service gets every pull, and what it
// pulled resolves by all names and runs.
func TestVariantIsPulledByAnotherImageService(t *testing.T) {
	for _, keeper := range []string{"runtime", "proxy"} {
		t.Run("names kept by the "+keeper, func(t *testing.T) {
			f, service := startBehindImageService(t, keptBy(keeper))
			o := f.offer(t, "app")
			refs := []string{o.ref, o.repo.DigestRef(o.index)}
			for _, ref := range refs {
				service.take()
				id := f.pull(t, ref)
				if o.ids[id] != best {
					t.Errorf("pulled %s of %s, want %s", o.ids[id], ref, best)
				}
				if pulls := service.pulls(); len(pulls) != 1 {
					t.Errorf("the image service got %d pulls of %s, want 1", len(pulls), ref)
				}
				wantID(t, f.cri, id, ref)
				f.wantRuns(t, ref, id, "app "+best)
			}
			if err := f.cri.CleanupPods(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, ref := range refs {
				if err := f.cri.Remove(t.Context(), ref); err != nil {
					t.Fatal(err)
				}
				if image, err := f.cri.Status(t.Context(), ref); !errors.Is(err, stack.ErrNoImage) {
					t.Errorf("%s after its removal: %v, %v", ref, image, err)
				}
			}
		})
	}
}
