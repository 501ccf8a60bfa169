package decision

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// provider gives containerd's own code what the test registry holds.
type provider struct{ r *fakeregistry.Registry }

func (p provider) ReaderAt(_ context.Context, desc ocispec.Descriptor) (containerd.ReaderAt, error) {
	body, _ := p.r.Content(desc.Digest.String())
	if body == nil {
		return nil, fmt.Errorf("content %s: %w", desc.Digest, errdefs.ErrNotFound)
	}
	return readerAt{bytes.NewReader(body)}, nil
}

type readerAt struct{ *bytes.Reader }

func (readerAt) Close() error { return nil }

// containerdTakes is what containerd makes of an index, by its own code: the digest
// of the config, or "" for an error.
func containerdTakes(t *testing.T, r *fakeregistry.Registry, top ocispec.Descriptor) digest.Digest {
	t.Helper()
	only := platforms.Only(ocispec.Platform{OS: "linux", Architecture: "amd64"})
	m, err := images.Manifest(t.Context(), provider{r}, top, only)
	if err != nil {
		return ""
	}
	return m.Config.Digest
}

// configDigest is the config of a manifest that the test registry holds.
func configDigest(t *testing.T, r *fakeregistry.Registry, manifest digest.Digest) digest.Digest {
	t.Helper()
	m := r.Get(manifest)
	if m == nil {
		t.Fatalf("no manifest %s", manifest)
	}
	return m.Config.Digest
}

// checkDefault compares what a decision says of the runtime with what the runtime's
// code does. Where the runtime takes what is not a candidate, or cannot take
// anything, the default is None; and nothing is refused in the first case.
func checkDefault(t *testing.T, r *fakeregistry.Registry, top ocispec.Descriptor) {
	t.Helper()
	d := decide(t, newTestResolver(t, r, testkit.Node(1)), app)
	took := containerdTakes(t, r, top)
	if d.Default != None {
		if got := configDigest(t, r, d.Candidates[d.Default].Digest); got != took {
			t.Errorf("containerd takes the image %s, not the default %s (%s)", took, d.Label(d.Default), got)
		}
		return
	}
	for _, c := range d.Candidates {
		if configDigest(t, r, c.Digest) == took {
			t.Errorf("containerd takes %s, the default is none", c.Platform)
		}
	}
	if took != "" && d.Refused() {
		t.Errorf("containerd takes the image %s, this is refused: %s", took, d.Reason)
	}
}

func TestDefaultIsWhatContainerdTakes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "indexes", "*.json"))
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			checkDefault(t, r, pushShape(t, r, name))
		})
	}
}

func TestDefaultIsWhatContainerdTakesOfRandomIndexes(t *testing.T) {
	t.Parallel()
	seed := uint64(os.Getpid())
	random := rand.New(rand.NewPCG(seed, 0))
	r := newTestRegistry(t)
	for i := range 150 {
		top := randomIndex(r, random, 0, fmt.Sprint(i))
		body, _ := r.Content(top.Digest.String())
		top = r.Manifest(ocispec.MediaTypeImageIndex, body, "1")
		checkDefault(t, r, top)
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, body)
		}
	}
}

// randomIndex stores an index of a few entries of every kind.
func randomIndex(r *fakeregistry.Registry, random *rand.Rand, depth int, name string) ocispec.Descriptor {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	var entries []ocispec.Descriptor
	for i := range random.IntN(5) {
		name := fmt.Sprint(name, ".", i)
		platform := pick("linux/amd64", "linux/amd64", "linux/amd64/v2", "linux/386", "linux/arm64", "windows/amd64", "unknown/unknown")
		e := r.Image(platform, name)
		switch random.IntN(10) {
		case 0, 1:
			e.Platform = nil
		case 2:
			e.Platform.OSFeatures = []string{"erofs"}
		case 3:
			e.ArtifactType = pick("application/x", ocispec.MediaTypeImageConfig)
		case 4:
			e.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		case 5, 6:
			if depth < 2 {
				stated := e.Platform
				e = randomIndex(r, random, depth+1, name)
				if random.IntN(2) == 0 {
					e.Platform = stated
				}
			}
		}
		entries = append(entries, e)
	}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries}
	index.SchemaVersion = 2
	return r.Manifest(ocispec.MediaTypeImageIndex, index)
}
