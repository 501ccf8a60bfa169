package registry

import (
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestInlinedContentIsNotRequested(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	const body = `{"compatible":"with":"all"}`
	stored := s.put("app/blobs/"+descOf(body).Digest.String(), "application/json", []byte(body))
	manifest := s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	for _, tt := range []struct {
		name  string
		desc  ocispec.Descriptor
		data  []byte
		asked bool
		want  string
	}{
		{"none", stored, nil, true, body},
		{"the content", stored, []byte(body), false, body},
		{"of a manifest", manifest, index(), false, string(index())},
		{"something else of the size", stored, []byte(body[:len(body)-1] + " "), true, body},
		{"more", stored, []byte(body + " "), true, body},
		{"the empty blob", descOf(""), []byte{}, false, ""},
	} {
		s.Forget()
		tt.desc.Data = tt.data
		repo := direct(t, s, nil)
		fetch := repo.Blob
		if tt.desc.MediaType == ocispec.MediaTypeImageIndex {
			fetch = repo.Manifest
		}
		got, err := fetch(t.Context(), tt.desc)
		if err != nil || !slices.Equal(got, []byte(tt.want)) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		if asked := len(s.requests()) > 0; asked != tt.asked {
			t.Errorf("%s: requests %q", tt.name, s.requests())
		}
	}
}
