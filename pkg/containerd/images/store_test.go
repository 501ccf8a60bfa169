package images

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestRecordsHaveAnIndexOnlyWhileTheirLabelsAreTrue(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	target, index := digest.FromString("target"), digest.FromString("index")
	for labelled, want := range map[string]digest.Digest{target.String(): index, "moved": "", "": ""} {
		f.Write(&imagesapi.Image{
			Name: reference, Target: &types.Descriptor{Digest: target.String()},
			Labels: map[string]string{labelManifest: labelled, labelIndex: index.String()},
		})
		got, err := s.Records(t.Context())
		if err != nil || !reflect.DeepEqual(got, []Record{{Name: reference, Target: target, Index: want}}) {
			t.Errorf("labelled %q: %v, %v", labelled, got, err)
		}
	}
	f.Before = failing("list", status.Error(codes.Unavailable, "away"))
	if _, err := s.Records(t.Context()); status.Code(err) != codes.Unavailable || !strings.HasPrefix(err.Error(), "list image records: ") {
		t.Errorf("while the runtime is away: %v", err)
	}
}

func TestConfigOfReadsTheManifestOfTheContentStore(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	image := f.Image("some")
	named := func(name string, body []byte) digest.Digest {
		f.Put(digest.FromString(name), body)
		return digest.FromString(name)
	}
	for _, test := range []struct {
		name     string
		manifest digest.Digest
		want     digest.Digest
		err      string
	}{
		{"there", image.Digest, digest.FromString("some"), ""},
		{"not there", digest.FromString("missing"), "", "not found"},
		{"not JSON", named("html", []byte("<html>")), "", "invalid character"},
		{"huge", named("huge", bytes.Repeat([]byte(" "), maxManifest+1)), "", "larger than 4194304 bytes"},
	} {
		got, err := s.ConfigOf(t.Context(), test.manifest)
		if got != test.want || (err != nil) != (test.err != "") {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), test.manifest.String())) {
			t.Errorf("%s: the error is %v", test.name, err)
		}
		if missing := test.name == "not there"; missing != (status.Code(err) == codes.NotFound) {
			t.Errorf("%s: the code is %s", test.name, status.Code(err))
		}
	}
}

func TestFollowCallsBackAtItsStartAndForEveryEvent(t *testing.T) {
	t.Parallel()
	f, s := newFake()
	f.Events = []*types.Envelope{{}, {}}
	calls := 0
	err := s.Follow(t.Context(), func() { calls++ })
	if calls != 3 || status.Code(errors.Unwrap(err)) != codes.Unavailable {
		t.Errorf("%d calls, %v", calls, err)
	}
	want := []string{`namespace=="k8s.io",topic=="/images/create"`, `namespace=="k8s.io",topic=="/images/update"`}
	if !reflect.DeepEqual(f.Filters(), want) {
		t.Errorf("subscribed to %q", f.Filters())
	}
	f.Before = failing("subscribe", status.Error(codes.Unimplemented, "unknown service"))
	calls = 0 // gRPC tells only after the start that there is no such service
	if err := s.Follow(t.Context(), func() { calls++ }); calls != 1 || status.Code(errors.Unwrap(err)) != codes.Unimplemented {
		t.Errorf("without an event service: %d calls, %v", calls, err)
	}
}
