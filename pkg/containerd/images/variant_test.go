package images

import (
	"encoding/json"
	"reflect"
	"testing"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestVariantOfAnImage has what containerd and cri-proxy leave in the content store.
func TestVariantOfAnImage(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	put := func(v any) digest.Digest {
		body, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		f.Put(digest.FromBytes(body), body)
		return digest.FromBytes(body)
	}
	v1, v3 := &ocispec.Platform{OS: "linux", Architecture: "amd64"}, &ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: "v3"}
	config := put(ocispec.Image{Author: "a", Platform: *v1})
	manifest := put(ocispec.Manifest{Config: ocispec.Descriptor{Digest: config}})
	mute := put(ocispec.Manifest{Config: ocispec.Descriptor{Digest: put(map[string]string{})}})
	absent := digest.FromString("absent")
	index := put(ocispec.Index{Manifests: []ocispec.Descriptor{{Digest: absent, Platform: v1}, {Digest: manifest, Platform: v3}}})
	others := put(ocispec.Index{Manifests: []ocispec.Descriptor{{Digest: absent, Platform: v3}}})
	for name, test := range map[string]struct {
		target, index, config digest.Digest
		want                  Variant
	}{
		"a manifest chosen from an index":      {manifest, index, config, Variant{manifest, index, v3}},
		"whose index is not there":             {manifest, absent, config, Variant{manifest, absent, v1}},
		"an index that the runtime pulled":     {index, "", config, Variant{manifest, index, v3}},
		"an index without the image":           {others, "", config, Variant{"", others, v1}},
		"a single image":                       {manifest, "", config, Variant{manifest, "", v1}},
		"a config that does not state a thing": {mute, "", "", Variant{mute, "", nil}},
	} {
		got, err := s.VariantOf(t.Context(), test.target, test.index, test.config)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, test.want)
		}
	}
	if got, err := s.VariantOf(t.Context(), absent, index, config); status.Code(err) != codes.NotFound || got.Index != index {
		t.Errorf("not there: %+v, %v", got, err)
	}
}

// TestReadChangesNoRecord has a record that Load converts.
func TestReadChangesNoRecord(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	kept := nameOf(f, "v3", reference)
	if err := (Names{s}).Save(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	untrue := repository + "@" + digest.FromString("index").String()
	labels := map[string]string{labelIndex: kept.Index.String(), labelManifest: kept.Manifest.String()}
	f.Write(&imagesapi.Image{Name: untrue, Target: &types.Descriptor{Digest: kept.Manifest.String()}, Labels: labels})
	before := f.Writes()
	got, err := Names{s}.Read(t.Context())
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], kept) {
		t.Errorf("%v, %v", got, err)
	}
	if !reflect.DeepEqual(f.Writes(), before) || f.Record(untrue) == nil {
		t.Errorf("written: %q", f.Writes())
	}
	if _, err := (Names{s}).Load(t.Context()); err != nil || f.Record(untrue) != nil {
		t.Errorf("Load does not convert it: %v", err)
	}
}
