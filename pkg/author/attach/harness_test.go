package attach_test

import (
	"testing"
	"time"

	"github.com/distribution/reference"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/registry"
)

const outline = `{"compatibilities": {"nfd": {"cpu-cpuid.AVX2": true}}}`

const nfd = `version: v1alpha1
compatibilities:
- rules:
  - name: cpu
    matchFeatures:
    - feature: cpu.cpuid
      matchExpressions: {AVX2: {op: Exists}}
`

// client is one author at one registry.
type client struct {
	t      *testing.T
	server *fakeregistry.Registry
	named  reference.Named
	auth   *registry.Auth
	repo   *registry.Repository
	in     *spec.Interpreter
}

func newClient(t *testing.T, s *fakeregistry.Registry, auth *registry.Auth) *client {
	t.Helper()
	named, err := reference.ParseDockerRef(s.Reference(":1"))
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(registry.Options{})
	t.Cleanup(reg.Close)
	repo, err := reg.Repository(named, auth)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, s, named, auth, repo, testkit.Interpreter(t)}
}

func (c *client) image() *attach.Image {
	c.t.Helper()
	img, err := attach.ReadImage(c.t.Context(), c.repo, c.named)
	if err != nil {
		c.t.Fatal(err)
	}
	return img
}

func (c *client) subject(platform string, entry int) attach.Subject {
	c.t.Helper()
	s, err := c.image().Subject(platform, entry)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *client) body(text string) attach.Body {
	c.t.Helper()
	dialect, _ := dialect.Detect("", "", []byte(text))
	b, err := attach.NewBody("needs", []byte(text), dialect, "", c.in)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// push attaches a file at a time and returns what it became.
func (c *client) push(text string, to attach.Subject, at time.Time) (attach.Packed, *attach.Target, error) {
	c.t.Helper()
	packed, err := attach.Pack(c.body(text), to, at)
	if err != nil {
		c.t.Fatal(err)
	}
	target := attach.NewTarget(c.named, c.auth, "imagefit/test")
	c.t.Cleanup(target.Close)
	return packed, target, target.Push(c.t.Context(), packed, func(string) {})
}

func (c *client) pushed(text string, to attach.Subject, at time.Time) attach.Packed {
	c.t.Helper()
	packed, _, err := c.push(text, to, at)
	if err != nil {
		c.t.Fatal(err)
	}
	return packed
}

func (c *client) attached(to attach.Subject) attach.Holder {
	c.t.Helper()
	h, err := attach.Attached(c.t.Context(), c.repo, to, c.in)
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// twoImages fills a registry with an index of two images and an attestation.
func twoImages(s *fakeregistry.Registry) {
	attestation := s.Image("unknown/unknown", "att", "att")
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	s.Index("1", s.Image("linux/amd64", "a", "a"), attestation, s.Image("linux/amd64/v3", "b", "b"))
}
