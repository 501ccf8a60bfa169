package images

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/names"
)

func TestTagsAreHandedBackToTheRuntime(t *testing.T) {
	t.Parallel()
	const other = repository + ":other"
	byIndex := repository + "@" + digest.FromString("index").String()
	for name, test := range map[string]struct {
		shared, dryRun bool
		given, left    []string
		record         string // what the tag leads to afterwards
	}{
		"alone":   {given: []string{reference}, left: []string{byIndex}, record: digest.FromString("v3").String()},
		"dry run": {dryRun: true, given: []string{reference}, left: []string{byIndex}},
		"shared":  {shared: true, left: []string{reference, other, byIndex}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, s := newFake()
				store := Names{s}
				tag, pulledBehind, digested := nameOf(f, "v3", reference), nameOf(f, "v3", other), nameOf(f, "v3", byIndex)
				implied := nameOf(f, "v3", repository+"@"+digest.FromString("newer").String())
				implied.Implied = true
				for _, n := range []names.Name{tag, pulledBehind, digested, implied} {
					if err := store.Save(t.Context(), n); err != nil {
						t.Fatal(err)
					}
				}
				plain := f.Image("plain")
				f.Write(&imagesapi.Image{Name: other, Target: &types.Descriptor{Digest: plain.Digest.String()}})
				time.Sleep(time.Minute) // until the CRI shows what was written
				given, left, err := store.HandBack(t.Context(), test.shared, test.dryRun)
				if err != nil || !slices.Equal(given, test.given) || !slices.Equal(left, test.left) {
					t.Errorf("given %q, left %q, %v; want %q, %q", given, left, err, test.given, test.left)
				}
				want := ""
				if test.record != "" {
					want = tag.Manifest.String()
				}
				if got := f.Record(reference).GetTarget().GetDigest(); got != want {
					t.Errorf("the tag leads to %q, want %q", got, want)
				}
				if got := f.Record(other).GetTarget().GetDigest(); got != plain.Digest.String() {
					t.Errorf("the runtime's own record was moved to %s", got)
				}
				if err := store.Forget(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantNames(t, store)
			})
		})
	}
}
