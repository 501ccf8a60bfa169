package attach_test

import (
	_ "crypto/sha512" // so that such digests are valid, and still refused
	"fmt"
	"slices"
	"testing"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// decide decides about the image as a pull would.
func (c *client) decide() *decision.Decision {
	c.t.Helper()
	bench := decisiontest.New(c.t, facts.New("linux", "amd64", facts.Features{}))
	d, err := bench.Resolver(c.t, c.server).Decide(c.t.Context(), decision.Request{
		Reference: c.named.String(), Snapshot: bench.Snapshot(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

// odds are referrers of every kind that there is, well made and not.
func odds(s *fakeregistry.Registry) map[string]func(*ocispec.Manifest) {
	created := func(at string) map[string]string { return map[string]string{ocispec.AnnotationCreated: at} }
	return map[string]func(*ocispec.Manifest){
		"good":    nil,
		"newer":   func(m *ocispec.Manifest) { m.Annotations = created("2027-01-01T00:00:00Z") },
		"no time": func(m *ocispec.Manifest) { m.Annotations = nil },
		"misspelt time": func(m *ocispec.Manifest) {
			m.Annotations = map[string]string{"oci.opencontainers.image.created": "2026-06-01T00:00:00Z"}
		},
		"first layer type": func(m *ocispec.Manifest) { m.Layers[0].MediaType = dialect.LayerTypeOutlineNFD },
		"several bodies":   func(m *ocispec.Manifest) { m.Layers = append(m.Layers, s.Blob(dialect.LayerTypeOutline, outline+" ")) },
		"other layer":      func(m *ocispec.Manifest) { m.Layers[0].MediaType = "a/b" },
		"newer other layer": func(m *ocispec.Manifest) {
			m.Layers[0].MediaType, m.Annotations = "a/b", created("2028-01-01T00:00:00Z")
		},
		"no layer":       func(m *ocispec.Manifest) { m.Layers = m.Layers[:0] },
		"many layers":    func(m *ocispec.Manifest) { m.Layers = slices.Repeat(m.Layers, referrers.MaxLayers+1) },
		"broken body":    func(m *ocispec.Manifest) { m.Layers[0] = s.Blob(dialect.LayerTypeOutline, "{") },
		"missing body":   func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.FromString("missing") },
		"sha512 body":    func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.SHA512.FromString(outline) },
		"size is a lie":  func(m *ocispec.Manifest) { m.Layers[0].Size = 1 << 40 },
		"before OCI 1.1": func(m *ocispec.Manifest) { m.ArtifactType, m.Config.MediaType = "", dialect.ArtifactType },
		"sbom":           func(m *ocispec.Manifest) { m.ArtifactType = "application/x-sbom" },
	}
}

// list and the pull agree on which artifacts apply, and on what is wrong with those
// that cannot be read, for each kind alone and for all of them together.
func TestListAndPullAgreeOnEveryKindOfReferrer(t *testing.T) {
	t.Parallel()
	kinds := odds(nil)
	groups := map[string][]string{"all together": nil}
	for name := range kinds {
		groups[name] = []string{name}
		groups["all together"] = append(groups["all together"], name)
	}
	for name, group := range groups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fakeregistry.New(t, fakeregistry.Options{})
			image := s.Image("linux/amd64", "a")
			index := s.Index("1", image)
			for i, subject := range []ocispec.Descriptor{image, index} {
				for _, kind := range group {
					artifact(s, subject, outline, odds(s)[kind])
				}
				if i == 0 { // of the index only what the entry has none of applies
					artifact(s, index, nfd, func(m *ocispec.Manifest) {
						m.ArtifactType, m.Layers[0].MediaType = dialect.ArtifactTypeNFD, dialect.LayerTypeNFD
					})
				}
			}
			checkAgreement(t, newClient(t, s, nil))
		})
	}
}

func checkAgreement(t *testing.T, c *client) {
	t.Helper()
	listing, err := attach.List(t.Context(), c.repo, c.image(), c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	kinds := map[referrers.Kind]bool{}
	for i, holder := range []attach.Holder{listing.Entries[0], listing.Holder} {
		for _, a := range holder.Artifacts {
			kind := referrers.Kind{Artifact: a.ArtifactType, Layer: a.LayerType}
			if a.LayerType == "" {
				kind = referrers.Kind{}
			}
			if a.Counts && (i == 0 || !kinds[kind]) {
				listed[fmt.Sprintf("%s %s %s", a.Digest, a.Layer, a.LayerType)] = true
			}
		}
		for _, a := range holder.Artifacts {
			if a.LayerType == "" {
				kinds[referrers.Kind{}] = kinds[referrers.Kind{}] || a.Counts
			} else {
				kinds[referrers.Kind{Artifact: a.ArtifactType, Layer: a.LayerType}] = true
			}
		}
	}
	applied := map[string]bool{}
	problems := map[digest.Digest]string{}
	for _, a := range c.decide().Candidates[0].Artifacts {
		applied[fmt.Sprintf("%s %s %s", a.Manifest, a.Layer, a.MediaType)] = true
		problems[a.Manifest] = a.Problem
	}
	if fmt.Sprint(listed) != fmt.Sprint(applied) {
		t.Errorf("list says that these apply:\n%v\nthe pull applies\n%v", listed, applied)
	}
	for _, a := range listing.Entries[0].Artifacts {
		if problem := problems[a.Digest]; problem != "" && problem != a.Problem {
			t.Errorf("%s: list says %q, the pull %q", a.Digest, a.Problem, problem)
		}
	}
}

// An index within the index is listed as an entry; a pull chooses among what it holds.
func TestListShowsAnIndexWithinTheIndex(t *testing.T) {
	t.Parallel()
	s := fakeregistry.New(t, fakeregistry.Options{})
	inner := s.Index("inner", s.Image("linux/amd64/v3", "a"))
	s.Index("1", s.Image("linux/amd64", "b"), inner)
	c := newClient(t, s, nil)
	listing, err := attach.List(t.Context(), c.repo, c.image(), c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(listing.Entries) != 2 || listing.Entries[1].Digest != inner.Digest {
		t.Errorf("listed %+v, want both entries", listing)
	}
	if d := c.decide(); len(d.Candidates) != 2 || d.Candidates[1].Within != inner.Digest {
		t.Errorf("the pull has the candidates %+v: %s", d.Candidates, d.Reason)
	}
}

// Of more referrers than are read, the same are left out, and both say so.
func TestListAndPullReadTheSameOfManyReferrers(t *testing.T) {
	t.Parallel()
	s := fakeregistry.New(t, fakeregistry.Options{})
	image := s.Image("linux/amd64", "a")
	s.Index("1", image)
	for i := range referrers.MaxOpened + 3 {
		artifact(s, image, fmt.Sprintf(`{"compatibilities": {"nfd": {"cpu-cpuid.X%d": true}}}`, i), func(m *ocispec.Manifest) {
			m.Annotations[ocispec.AnnotationCreated] = fmt.Sprintf("2026-01-01T00:00:%02dZ", i)
		})
	}
	c := newClient(t, s, nil)
	listing, err := attach.List(t.Context(), c.repo, c.image(), c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := listing.Entries[0]; e.Unopened != 3 || len(e.Artifacts) != referrers.MaxOpened {
		t.Errorf("%d artifacts, %d referrers unread", len(e.Artifacts), e.Unopened)
	}
	checkAgreement(t, c)
}
