package attach_test

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/author/attach"
)

func TestSubjectsArePickedByPlatformOrPosition(t *testing.T) {
	t.Parallel()
	s := fakeregistry.New(t, fakeregistry.Options{Strict: true})
	attestation := s.Image("unknown/unknown", "")
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	plain, v3, arm := s.Image("linux/amd64", "a", "a"), s.Image("linux/amd64/v3", "b", "b"), s.Image("linux/arm64/v8", "c", "c")
	windows, twin, twin2 := s.Image("windows/amd64", "d", "d"), s.Image("linux/s390x", "e", "e"), s.Image("linux/s390x", "f", "f")
	windows.Platform.OSVersion = "10.0.20348.1"
	index := s.Index("1", plain, attestation, v3, arm, windows, twin, twin2)
	img := newClient(t, s, nil).image()
	tests := map[string]struct {
		platform string
		entry    int
		want     ocispec.Descriptor
		at       int
		err      string
	}{
		"the index":          {"", attach.None, index, attach.None, ""},
		"by position":        {"", 2, v3, 2, ""},
		"exact platform":     {"linux/amd64", attach.None, plain, 0, ""},
		"variant":            {"linux/amd64/v3", attach.None, v3, 2, ""},
		"usual variant":      {"linux/arm64", attach.None, arm, 3, ""},
		"version left out":   {"windows/amd64", attach.None, windows, 4, ""},
		"no such variant":    {platform: "linux/amd64/v4", entry: attach.None, err: "no entry for linux/amd64/v4, only for linux/amd64, linux/amd64/v3, linux/arm64/v8, linux/s390x, windows/amd64 10.0.20348.1"},
		"twins":              {platform: "linux/s390x", entry: attach.None, err: "several entries for linux/s390x: pick one of the positions 5, 6"},
		"attestation":        {entry: 1, err: "entry 1 of"},
		"behind the end":     {entry: 7, err: "no entry 7, only 0 to 6"},
		"before the start":   {entry: -2, err: "no entry -2"},
		"half a platform":    {platform: "amd64", entry: attach.None, err: "not OS/ARCH"},
		"no platform at all": {platform: "li nux/amd64", entry: attach.None, err: "read platform"},
		"both":               {platform: "linux/amd64", entry: 0, err: "not by both"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := img.Subject(tt.platform, tt.entry)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, %v; want %q", got, err, tt.err)
				}
				return
			}
			if err != nil || got.Descriptor.Digest != tt.want.Digest || got.Entry != tt.at {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestASingleImageHasNoEntriesToPickFrom(t *testing.T) {
	t.Parallel()
	s := fakeregistry.New(t, fakeregistry.Options{Strict: true})
	want := s.Image("linux/amd64", "1", "1")
	img := newClient(t, s, nil).image()
	if got, err := img.Subject("", attach.None); err != nil || got.Descriptor.Digest != want.Digest {
		t.Errorf("got %v, %v", got, err)
	}
	for platform, entry := range map[string]int{"linux/amd64": attach.None, "": 0} {
		if _, err := img.Subject(platform, entry); err == nil || !strings.Contains(err.Error(), "single image") {
			t.Errorf("%q, %d: %v", platform, entry, err)
		}
	}
}

func TestReadImageRefusesWhatIsNeitherImageNorIndex(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mediaType string
		body      any
		want      string
	}{
		"something else":   {"application/x-other", map[string]string{}, "neither an image nor an index"},
		"too many entries": {ocispec.MediaTypeImageIndex, map[string]any{"manifests": make([]struct{}, 1001)}, "more than the 1000 entries"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fakeregistry.New(t, fakeregistry.Options{})
			s.Manifest(tt.mediaType, tt.body, "1")
			c := newClient(t, s, nil)
			if _, err := attach.ReadImage(t.Context(), c.repo, c.named); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
