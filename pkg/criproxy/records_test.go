package criproxy

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/internal/testkit/fakeruntime"
	"github.com/imagefit/imagefit/pkg/containerd/images"
)

// impatient are records that wait only a short time until one is shown.
type impatient struct{ *images.Store }

func (i impatient) Point(ctx context.Context, c images.Choice) error {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	return i.Store.Point(ctx, c)
}

// TestPullIsForwardedWhenTheChoiceIsNeverShown falls back to what the runtime takes by itself.
func TestPullIsForwardedWhenTheChoiceIsNeverShown(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.runtime.Delay = fakeruntime.Never
	b.names.Records = impatient{b.names.Records.(*images.Store)}
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1") || b.decider.recalled(id) != "linux/amd64" {
		t.Errorf("pulled %q, %v, remembered %q", id, err, b.decider.recalled(id))
	}
	if got := b.runtime.requests(); len(got) != 2 {
		t.Errorf("%d pulls, want the choice and then the request itself", len(got))
	}
}

// TestPullFailsWhenTheChoiceIsNeverShownAndNothingElseMayRun fails where nothing else may run.
func TestPullFailsWhenTheChoiceIsNeverShownAndNothingElseMayRun(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.registry.index("1", "v3")
	b.runtime.Delay = fakeruntime.Never
	b.names.Records = impatient{b.names.Records.(*images.Store)}
	_, err := b.pull(t.Context())
	checkStatus(t, err, codes.Unknown, "imagefit: linux/amd64/v3 of "+appTag+" is pulled, but the runtime does not show it under that name")
	if got := b.runtime.requests(); len(got) != 1 {
		t.Errorf("%d pulls", len(got))
	}
}

// TestImageRemovedDuringAPullIsPulledAgain removes the image as it is pulled:
// the choice is pulled again, not what the runtime takes unasked.
func TestImageRemovedDuringAPullIsPulledAgain(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	lost := 0
	b.runtime.OnPull = func(_ context.Context, ref string) error {
		if lost++; lost <= 2 {
			return status.Errorf(codes.NotFound, `failed to create image reference %q: image %q: not found`, ref, ref)
		}
		return nil
	}
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1v3") || b.status(t, appTag) != id {
		t.Errorf("pulled %q, %v", id, err)
	}
}

// TestPullFailsWhenItsRecordIsAlwaysRemoved removes every record of the tag as it
// is made: the pull fails, and brings no other variant.
func TestPullFailsWhenItsRecordIsAlwaysRemoved(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.runtime.Written = func(name string) {
		if name == appTag {
			b.runtime.RemoveRecord(name)
		}
	}
	id, err := b.pull(t.Context())
	checkStatus(t, err, codes.Unknown, "")
	for _, raw := range b.runtime.requests() {
		if strings.Contains(raw, appTag) {
			t.Errorf("pulled %q, and the runtime was asked for the tag", id)
		}
	}
}
