package images

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/internal/testkit/fakeruntime"
)

const (
	repository = "registry.example/app"
	reference  = repository + ":1"
)

// choose stores an image and returns the choice of it.
func choose(f *fakeruntime.Runtime, name string) Choice {
	return Choice{
		Reference: reference, Index: digest.FromString("index"),
		Manifest: f.Image(name), ImageID: digest.FromString(name).String(),
	}
}

// shows reports whether the CRI shows the choice under a name at this moment.
func shows(s *Store, name string, c Choice) bool {
	id, err := s.shownAs(context.Background(), name)
	return err == nil && id == c.ImageID
}

func TestPointRecordsTheReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake()
		c := choose(f, "v3")
		if err := s.Point(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if !shows(s, reference, c) {
			t.Error("the CRI does not show it yet")
		}
		record := f.Record(reference)
		if d := record.GetTarget(); d.GetDigest() != c.Manifest.Digest.String() || d.GetSize() != c.Manifest.Size || d.GetMediaType() != c.Manifest.MediaType {
			t.Errorf("it points at %v", d)
		}
		for label, want := range map[string]string{ // as documented
			"io.cri-containerd.image": "managed", "imagefit.io/index": c.Index.String(), "imagefit.io/manifest": c.Manifest.Digest.String(),
		} {
			if got := record.GetLabels()[label]; got != want {
				t.Errorf("label %s is %q, want %q", label, got, want)
			}
		}
		if writes := f.Writes(); len(writes) != 1 {
			t.Errorf("wrote %q", writes)
		}
	})
}

func TestPointKeepsTheLabelsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake()
		c := choose(f, "v3")
		f.Write(&imagesapi.Image{Name: reference, Labels: map[string]string{"theirs": "stays", labelManifest: "stale"}})
		if err := s.Point(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(f.Writes(), ", "); got != "update "+reference {
			t.Errorf("wrote %s", got)
		}
		labels := f.Record(reference).GetLabels()
		if labels["theirs"] != "stays" || labels[labelManifest] != c.Manifest.Digest.String() || labels[labelManaged] != "managed" {
			t.Errorf("labels %v", labels)
		}
	})
}

func TestPointWritesOnlyRecordsThatAreNotCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake()
		c := choose(f, "v3")
		point := func(when string, want int) {
			t.Helper()
			before := len(f.Writes())
			if err := s.Point(t.Context(), c); err != nil || !shows(s, reference, c) {
				t.Fatalf("%s: %v", when, err)
			}
			if wrote := f.Writes()[before:]; len(wrote) != want {
				t.Errorf("%s: wrote %q, want %d writes", when, wrote, want)
			}
		}
		point("the first time", 1)
		point("again", 0)
		for when, change := range map[string]func(*imagesapi.Image){
			"another target":   func(i *imagesapi.Image) { i.Target.Digest = digest.FromString("else").String() },
			"another manifest": func(i *imagesapi.Image) { i.Labels[labelManifest] = "stale" },
			"another index":    func(i *imagesapi.Image) { i.Labels[labelIndex] = "stale" },
			"not managed":      func(i *imagesapi.Image) { delete(i.Labels, labelManaged) },
		} {
			change(f.Record(reference))
			point(when, 1)
		}
		f.Hide(reference)
		point("not shown", 1)
	})
}

func TestPointReturnsWhenTheCRIShowsTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake()
		f.Delay = 3 * time.Second
		c := choose(f, "v3")
		start := time.Now()
		err := s.Point(t.Context(), c)
		if took := time.Since(start); err != nil || took < f.Delay || took > f.Delay+100*time.Millisecond {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestPointFailsWhenTheCRINeverShowsTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake()
		f.Delay = time.Hour
		c := choose(f, "v3")
		start := time.Now()
		err := s.Point(t.Context(), c)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != timeout ||
			!strings.Contains(err.Error(), "wait until the runtime shows "+reference+" as "+c.ImageID+` (it shows "")`) {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := s.Point(ctx, c); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("with a deadline: %v after %s", err, time.Since(start))
		}
	})
}

func TestPointFailsWhenARecordCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"create", "update"} {
		f, s := newFake()
		c := choose(f, "v3")
		f.Write(&imagesapi.Image{Name: reference})
		f.Before = failing(method, status.Error(codes.ResourceExhausted, "disk full"))
		err := s.Point(t.Context(), c)
		if status.Code(err) != codes.ResourceExhausted || !strings.HasPrefix(err.Error(), "record image "+reference) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// TestPointDoesNotWaitForWhatOthersRemovedOrMoved changes a record of this pull right
// after it was written.
func TestPointDoesNotWaitForWhatOthersRemovedOrMoved(t *testing.T) {
	for _, tt := range []struct {
		name   string
		others func(f *fakeruntime.Runtime, c Choice, other string)
		want   error
	}{
		{"removes the record", func(f *fakeruntime.Runtime, _ Choice, _ string) {
			f.RemoveRecord(reference)
		}, ErrRemoved},
		{"removes the content", func(f *fakeruntime.Runtime, c Choice, _ string) {
			f.Put(c.Manifest.Digest, nil)
		}, ErrRemoved},
		{"moves the record", func(f *fakeruntime.Runtime, _ Choice, other string) {
			f.Write(&imagesapi.Image{Name: reference, Target: &types.Descriptor{Digest: other}})
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, s := newFake()
				c, other := choose(f, "v3"), f.Image("other")
				f.Written = func(string) {
					f.Written = nil
					tt.others(f, c, other.Digest.String())
				}
				start := time.Now()
				if err := s.Point(t.Context(), c); !errors.Is(err, tt.want) || time.Since(start) > time.Second {
					t.Errorf("%v after %s, want %v", err, time.Since(start), tt.want)
				}
			})
		})
	}
}

// TestPointSucceedsBesideOtherPullsAndRemovals lets others make the record before each
// create and remove it before each update, for some calls.
func TestPointSucceedsBesideOtherPullsAndRemovals(t *testing.T) {
	for calls := range 6 {
		synctest.Test(t, func(t *testing.T) {
			f, s := newFake()
			left := calls
			f.Before = func(_ context.Context, method, name string) error {
				if method != "create" && method != "update" {
					return nil
				}
				if left--; left < 0 {
					return nil
				}
				if f.RemoveRecord(name); method == "create" {
					f.Write(&imagesapi.Image{Name: name})
				}
				return nil
			}
			c := choose(f, "v3")
			if err := s.Point(t.Context(), c); err != nil || !shows(s, reference, c) {
				t.Errorf("%d calls: %v", calls, err)
			}
		})
	}
}
