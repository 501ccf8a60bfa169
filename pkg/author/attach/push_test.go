package attach_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

func outlineType() referrers.Kind {
	return referrers.Kind{Artifact: dialect.ArtifactType, Layer: dialect.LayerTypeOutline}
}

func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

func TestAPushedArtifactIsListed(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]fakeregistry.Options{
		"referrers API": {},
		"referrers tag": {NoReferrersAPI: true},
		"with password": {Password: "right"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fakeregistry.New(t, options)
			twoImages(s)
			c := newClient(t, s, &registry.Auth{Username: "author", Password: options.Password})
			entry := c.subject("linux/amd64/v3", attach.None)
			packed, target, err := c.push(outline, entry, noon())
			if err != nil {
				t.Fatal(err)
			}
			if target.UsedTag() != options.NoReferrersAPI {
				t.Errorf("used the referrers tag: %t", target.UsedTag())
			}
			checkManifest(t, s.Get(packed.Descriptor.Digest), entry.Descriptor)
			got := c.attached(entry).Artifacts
			if len(got) != 1 || got[0].Digest != packed.Descriptor.Digest || got[0].Dialect != "proposal-f" || !got[0].Counts || got[0].Problem != "" {
				t.Errorf("attached: %+v", got)
			}
			if h := c.attached(c.subject("", attach.None)); len(h.Artifacts) > 0 {
				t.Errorf("the index has %+v", h.Artifacts)
			}
		})
	}
}

func checkManifest(t *testing.T, m *ocispec.Manifest, subject ocispec.Descriptor) {
	t.Helper()
	if m == nil {
		t.Fatal("the manifest is not in the registry")
	}
	layer := ocispec.Descriptor{
		MediaType: dialect.LayerTypeOutline, Digest: digest.FromString(outline), Size: int64(len(outline)),
		Annotations: map[string]string{"org.opencontainers.image.title": "needs"},
	}
	if m.SchemaVersion != 2 || m.MediaType != ocispec.MediaTypeImageManifest || m.ArtifactType != dialect.ArtifactType ||
		m.Config.MediaType != "application/vnd.oci.empty.v1+json" || len(m.Layers) != 1 ||
		m.Layers[0].Digest != layer.Digest || m.Layers[0].MediaType != layer.MediaType || m.Layers[0].Size != layer.Size ||
		m.Layers[0].Annotations["org.opencontainers.image.title"] != "needs" ||
		m.Annotations["org.opencontainers.image.created"] != "2026-03-04T12:00:00Z" {
		t.Errorf("manifest: %+v", m)
	}
	if m.Subject == nil || m.Subject.Digest != subject.Digest || m.Subject.Size != subject.Size ||
		m.Subject.MediaType != subject.MediaType || m.Subject.Platform != nil {
		t.Errorf("subject: %+v, want %+v", m.Subject, subject)
	}
}

func TestARefusedPushSaysWhatToDo(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	tests := map[string]struct {
		options fakeregistry.Options
		auth    *registry.Auth
		want    string
	}{
		"no credentials":    {fakeregistry.Options{Strict: true, Password: "right"}, nil, "asks for credentials; log in"},
		"wrong password":    {fakeregistry.Options{Strict: true, Password: "right"}, &registry.Auth{Username: "author", Password: secret}, "answered 401 Unauthorized"},
		"may not push":      {fakeregistry.Options{Strict: true, ReadOnly: true}, nil, "answered 403 Forbidden (denied: not here); log in"},
		"may not with name": {fakeregistry.Options{Strict: true, ReadOnly: true}, &registry.Auth{Username: "author", Password: secret}, "docker login 127.0.0.1:"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fakeregistry.New(t, tt.options)
			image := s.Image("linux/amd64", "1", "1")
			_, _, err := newClient(t, s, tt.auth).push(outline, attach.Subject{Descriptor: image, Entry: attach.None}, noon())
			if !errors.Is(err, attach.ErrRefused) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if n := len(s.Requests()); n > 4 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestReplaceDeletesOrSupersedes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options fakeregistry.Options
		removed bool
		why     string
	}{
		"API":                {fakeregistry.Options{Strict: true}, true, ""},
		"API, no delete":     {fakeregistry.Options{Strict: true, NoDelete: true}, false, "405 Method Not Allowed"},
		"tag":                {fakeregistry.Options{Strict: true, NoReferrersAPI: true}, true, ""},
		"tag, but no delete": {fakeregistry.Options{Strict: true, NoReferrersAPI: true, NoDelete: true}, true, "405 Method Not Allowed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fakeregistry.New(t, tt.options)
			twoImages(s)
			c := newClient(t, s, nil)
			index := c.subject("", attach.None)
			old := c.pushed(outline, index, noon()).Descriptor.Digest
			other := c.pushed(nfd, index, noon()).Descriptor.Digest
			there := c.attached(index)
			packed, target, err := c.push(strings.Replace(outline, "AVX2", "AVX", 1), index, there.After(outlineType(), noon()))
			if err != nil {
				t.Fatal(err)
			}
			got, err := target.Replace(t.Context(), c.repo, index, there.OfType(outlineType()), func(string) {})
			if err != nil || !strings.Contains(got.Why, tt.why) || (got.Why == "") != (tt.why == "") {
				t.Fatalf("got %+v, %v", got, err)
			}
			wantRemoved, wantSuperseded := []digest.Digest{old}, []digest.Digest(nil)
			if !tt.removed {
				wantRemoved, wantSuperseded = wantSuperseded, wantRemoved
			}
			if !slices.Equal(got.Removed, wantRemoved) || !slices.Equal(got.Superseded, wantSuperseded) {
				t.Errorf("got %+v", got)
			}
			counting := map[digest.Digest]bool{}
			for _, a := range c.attached(index).Artifacts {
				counting[a.Digest] = a.Counts
			}
			if _, listed := counting[old]; listed == tt.removed || counting[old] || !counting[other] || !counting[packed.Descriptor.Digest] {
				t.Errorf("counting: %v", counting)
			}
		})
	}
}

func TestANewArtifactIsDatedAfterThoseOfItsKind(t *testing.T) {
	t.Parallel()
	late := noon().Add(time.Hour)
	h := attach.Holder{Artifacts: []attach.Artifact{{ArtifactType: "x", LayerType: "a", Created: &late}, {ArtifactType: "x", LayerType: "b"}}}
	for of, want := range map[referrers.Kind]time.Time{{Artifact: "x", Layer: "a"}: late.Add(time.Second), {Artifact: "y", Layer: "a"}: noon(), {Artifact: "x", Layer: "b"}: noon(), {Artifact: "x", Layer: "c"}: noon()} {
		if got := h.After(of, noon().Add(300*time.Millisecond)); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", of, got, want)
		}
	}
}
