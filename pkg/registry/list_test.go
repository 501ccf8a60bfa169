package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// listed is a referrer of a type with a time.
func listed(n int, artifactType, created string) ocispec.Descriptor {
	d := descOf(fmt.Sprint(artifactType, n))
	d.ArtifactType = artifactType
	if created != "" {
		d.Annotations = map[string]string{ocispec.AnnotationCreated: created, "other": "annotation"}
	}
	return d
}

// signatures are referrers of a time that are no compatibility artifacts.
func signatures(n int) []ocispec.Descriptor {
	all := make([]ocispec.Descriptor, n)
	for i := range all {
		all[i] = listed(i, "application/vnd.example.signature", "2024-01-01T00:00:00Z")
	}
	return all
}

// Of a list that is too long, the newest and the compatibility artifacts count, wherever
// they are in it, and it is said that it is too long.
func TestOfALongListTheNewestAndTheNamedCount(t *testing.T) {
	t.Parallel()
	subject := descOf("subject")
	named := listed(0, dialect.ArtifactType, "2020-01-01T00:00:00Z")
	newest := listed(0, "", "2025-01-01T00:00:00Z")
	for _, first := range []bool{true, false} {
		for _, n := range []int{10, maxReferrers - 2, maxReferrers, maxListed - 2} {
			t.Run(fmt.Sprintf("%d, first %t", n, first), func(t *testing.T) {
				t.Parallel()
				all := slices.Concat([]ocispec.Descriptor{named, newest}, signatures(n))
				if !first {
					all = slices.Concat(signatures(n), []ocispec.Descriptor{newest, named})
				}
				s := newStub(t)
				s.hook = func(w http.ResponseWriter, r *http.Request) bool {
					if strings.Contains(r.URL.Path, "/referrers/") {
						page(w, ocispec.MediaTypeImageIndex, all...)
					}
					return true
				}
				got, err := direct(t, s, nil).List(t.Context(), subject)
				if err != nil || (got.Incomplete != "") != (n+2 > maxReferrers) || got.Total != n+2 || len(got.Referrers) != min(n+2, keptReferrers) {
					t.Fatalf("%d of %d referrers, incomplete %q, %v", len(got.Referrers), got.Total, got.Incomplete, err)
				}
				for _, want := range []ocispec.Descriptor{named, newest} {
					i := slices.IndexFunc(got.Referrers, func(d ocispec.Descriptor) bool { return d.Digest == want.Digest })
					if i < 0 || !Created(got.Referrers[i].Annotations).Equal(Created(want.Annotations)) || len(got.Referrers[i].Annotations) != 1 {
						t.Errorf("%s at %d", want.ArtifactType, i)
					}
				}
			})
		}
	}
}

// A page costs the memory of what is kept of it, however many entries it has.
func TestReadingAListCostsLittleMemory(t *testing.T) {
	bodies := map[string][]byte{
		"entries without anything": []byte(`{"manifests": [{}` + strings.Repeat(",{}", maxBytes/3-20) + `]}`),
		"signatures":               index(signatures(14_000)...),
		"one entry":                []byte(`{"manifests": [{"mediaType": "` + strings.Repeat("x", maxBytes-100) + `"}]}`),
		"another member":           []byte(`{"annotations": {"x": "` + strings.Repeat("x", maxBytes-100) + `"}, "manifests": []}`),
		"nested":                   []byte(`{"manifests": [` + strings.Repeat("[", maxBytes-100)),
		"spaces":                   bytes.Repeat([]byte(" "), 2*maxBytes),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			list := newShortlist()
			err := list.read(bytes.NewReader(body), maxListed)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 24<<20 {
				t.Errorf("allocated %d MiB for a page of %d", allocated>>20, len(body)>>20)
			}
			if len(list.kept) > 4*keptReferrers || list.total > maxListed || err == nil && list.incomplete == "" {
				t.Errorf("kept %d of %d, incomplete %q, %v", len(list.kept), list.total, list.incomplete, err)
			}
		})
	}
}

// FuzzReferrersList reads any bytes as a page, as oras-go would where it is not too long.
func FuzzReferrersList(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"manifests": null}`, `{"manifests": [null, {}]}`, `{"MANIFESTS": [{"digest": "sha256:x"}]}`,
		`{"manifests": [{"mediaType": "a", "size": -1, "annotations": {"org.opencontainers.image.created": "2024-01-01T00:00:00Z"}}]} `,
		`{"manifests": [{"digest": 7}]}`, `{"manifests": [{}`, `{"manifests": {}}`, `{"a": [1, {"manifests": []}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Add(index(signatures(70)...))
	f.Fuzz(func(t *testing.T, body []byte) {
		list := newShortlist()
		err := list.read(io.LimitReader(bytes.NewReader(body), 1<<20), 100)
		if len(list.kept) > 4*keptReferrers || list.total > 100 {
			t.Fatalf("kept %d of %d", len(list.kept), list.total)
		}
		for _, d := range list.kept {
			if max(len(d.Digest), len(d.MediaType), len(d.ArtifactType)) > maxReferrerText || len(d.Annotations) > 2 {
				t.Fatalf("kept %+v", d)
			}
		}
		var whole struct {
			Manifests []struct {
				Digest digest.Digest `json:"digest"`
			} `json:"manifests"`
		}
		if bytes.Count(bytes.ToLower(body), []byte("manifests")) > 1 || json.Unmarshal(body, &whole) != nil {
			return // with a key twice, package json merges
		}
		if err == nil && list.incomplete == "" && list.total != len(whole.Manifests) {
			t.Fatalf("%d entries, want %d", list.total, len(whole.Manifests))
		}
	})
}
