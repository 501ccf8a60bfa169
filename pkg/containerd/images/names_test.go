package images

import (
	"context"
	"errors"
	"reflect"
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
	"github.com/imagefit/imagefit/pkg/names"
)

// nameOf makes the record of an image, as a pull does, and returns a name of it.
func nameOf(f *fakeruntime.Runtime, image, ref string) names.Name {
	manifest := f.Image(image)
	id := digest.FromString(image).String()
	f.Write(&imagesapi.Image{Name: id, Target: &types.Descriptor{Digest: manifest.Digest.String()}, Labels: map[string]string{labelManaged: "managed"}})
	return names.Name{
		Reference: ref, ImageID: id, Manifest: manifest.Digest, Index: digest.FromString("index"),
		Since: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Namespace: "default", Pod: "web-0",
	}
}

func TestNamesAreInTheLabelsOfTheImagesOwnRecord(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	store := Names{s}
	byIndex := repository + "@" + digest.FromString("index").String()
	first, second := nameOf(f, "v3", byIndex), nameOf(f, "v3", reference)
	for _, n := range []names.Name{first, second} {
		if err := store.Save(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	wantNames(t, store, first, second)
	if moved := first; !store.Has(t.Context(), first) || !store.Has(t.Context(), second) {
		t.Error("names that were saved are not there")
	} else if moved.Manifest = digest.FromString("other"); store.Has(t.Context(), moved) {
		t.Error("a name of another manifest is there")
	}
	if labels := f.Record(first.ImageID).GetLabels(); len(labels) != 3 || labels[labelManaged] != "managed" {
		t.Errorf("labels %v", labels)
	}
	if err := store.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	wantNames(t, store, second)
	f.RemoveRecord(second.ImageID) // the image is gone
	wantNames(t, store)
	if store.Has(t.Context(), first) || store.Has(t.Context(), second) {
		t.Error("names that are gone are there")
	}
	if err := store.Delete(t.Context(), second); err != nil {
		t.Errorf("delete what is gone: %v", err)
	}
	if err := store.Save(t.Context(), second); !errors.Is(err, ErrRemoved) {
		t.Errorf("name what is gone: %v", err)
	}
}

func wantNames(t *testing.T, store names.Store, want ...names.Name) {
	t.Helper()
	all, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := map[string]names.Name{}, map[string]names.Name{}
	for _, n := range all {
		got[n.Reference] = n
	}
	for _, n := range want {
		wanted[n.Reference] = n
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("names\ngot  %v\nwant %v", got, wanted)
	}
}

// TestLabelsOfOthersAreNotNames copies a label to another record, as ctr images tag does.
func TestLabelsOfOthersAreNotNames(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	n := nameOf(f, "v3", reference)
	if err := (Names{s}).Save(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	labels := f.Record(n.ImageID).GetLabels()
	f.Write(&imagesapi.Image{Name: "copy", Target: f.Record(n.ImageID).GetTarget(), Labels: labels})
	for _, value := range []string{"", "{", `{"reference":"other","imageID":"` + n.ImageID + `"}`, strings.Repeat("[", 4000)} {
		other := nameOf(f, "other", "other")
		f.Write(&imagesapi.Image{Name: other.ImageID, Target: f.Record(other.ImageID).GetTarget(), Labels: map[string]string{labelOf(n): value}})
		wantNames(t, Names{s}, n)
	}
}

// TestRecordsThatAreNotTrueBecomeNames has what earlier versions wrote: a name with the
// digest of the index on the manifest.
func TestRecordsThatAreNotTrueBecomeNames(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	n := nameOf(f, "v3", repository+"@"+digest.FromString("index").String())
	labels := map[string]string{labelManaged: "managed", labelIndex: n.Index.String(), labelManifest: n.Manifest.String()}
	target := &types.Descriptor{Digest: n.Manifest.String()}
	f.Write(&imagesapi.Image{Name: n.Reference, Target: target, Labels: labels})
	f.Write(&imagesapi.Image{Name: reference, Target: target, Labels: labels}) // a tag is true of anything
	f.Write(&imagesapi.Image{Name: repository + "@" + n.Manifest.String(), Target: target})
	n.Since, n.Namespace, n.Pod = time.Unix(0, 0).UTC(), "", ""
	wantNames(t, Names{s}, n)
	if f.Record(n.Reference) != nil || f.Record(reference) == nil || f.Record(repository+"@"+n.Manifest.String()) == nil {
		t.Error("the wrong records are left")
	}
	wantNames(t, Names{s}, n)
	records, err := s.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if chosen := strings.HasPrefix(r.Name, repository); chosen != (r.Index == n.Index) {
			t.Errorf("record %+v", r)
		}
	}
}

func TestRuntimeWithoutRecordsHasNoNames(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	f.Before = failing("list", status.Error(codes.Unimplemented, "unknown service"))
	if _, err := (Names{s}).Load(t.Context()); !errors.Is(err, names.ErrUnsupported) {
		t.Errorf("unimplemented: %v", err)
	}
	f.Before = failing("list", status.Error(codes.Unavailable, "away"))
	if _, err := (Names{s}).Load(t.Context()); err == nil || errors.Is(err, names.ErrUnsupported) {
		t.Errorf("away: %v", err)
	}
}

// TestTargetOfARecord makes, reads and removes one.
func TestTargetOfARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake()
		c := choose(f, "v3")
		if target, err := s.TargetOf(t.Context(), reference); target != "" || err != nil {
			t.Errorf("before: %q, %v", target, err)
		}
		if err := s.Point(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if target, err := s.TargetOf(t.Context(), reference); target != c.Manifest.Digest || err != nil {
			t.Errorf("%q, %v", target, err)
		}
		if d, err := s.DescriptorOf(t.Context(), c.Manifest.Digest); err != nil || d.Digest != c.Manifest.Digest || d.Size != c.Manifest.Size || d.MediaType != c.Manifest.MediaType {
			t.Errorf("descriptor %v, %v", d, err)
		}
		if err := s.Remove(t.Context(), reference, digest.FromString("other")); err != nil || f.Record(reference) == nil {
			t.Errorf("a record with another target was removed: %v", err)
		}
		for range 2 {
			if err := s.Remove(t.Context(), reference, c.Manifest.Digest); err != nil || f.Record(reference) != nil {
				t.Errorf("the record was not removed: %v", err)
			}
		}
		f.Before = func(context.Context, string, string) error {
			return status.Error(codes.Unimplemented, "unknown service")
		}
		if _, err := s.TargetOf(t.Context(), reference); status.Code(err) != codes.Unimplemented {
			t.Errorf("without records: %v", err)
		}
	})
}
